"""The inputs of a training besides its images.

`Hyperparameters` belong to one trial. `TrainingSettings` are common to all trials of a stack, because trials can share
matrix products only if they see the same mini-batches.
"""

from dataclasses import dataclass
from typing import Literal

Order = Literal["shuffled", "fixed"]
Precision = Literal["float32", "float64"]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Hyperparameters of one trial, and the seed of its initial weights."""

    eta: float
    """Learning rate η of the first epoch, applied to the mean gradient of a mini-batch."""
    lam: float
    """Weight λ of the L2 penalty λ(‖W1‖² + ‖W2‖²)."""
    seed: int
    """Seed of the initial weights."""
    rho: float = 0.9
    """Momentum coefficient ρ of equation (5)."""
    decay: float = 0.95
    """Factor on η after each epoch."""

    def learning_rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 1: η·decayᵉ⁻¹."""
        return self.eta * float(self.decay ** (epoch - 1))


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Settings common to all trials of a stack."""

    hidden: int = 50
    """Hidden units m."""
    batch: int = 100
    """Images in a mini-batch. The last one of an epoch is smaller if the images do not divide evenly."""
    epochs: int = 10
    order: Order = "shuffled"
    """Whether each epoch draws new mini-batches, or cuts the data in its stored order, as the paper does."""
    order_seed: int = 0
    """Seed of the shuffled order. With the data, it alone decides which images a step sees."""
    precision: Precision = "float32"
    mirror: bool = False
    """Whether each image is mirrored left to right in half of the epochs, drawn from `order_seed` and the epoch."""
