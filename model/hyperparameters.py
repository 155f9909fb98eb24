"""What one training needs to know, frozen.

`Hyperparameters` belong to one trial; `TrainingSettings` are shared by all trials of a stack, because trials can only
share matrix products if they see the same mini-batches.
"""

from dataclasses import dataclass, replace
from typing import Literal, Self

Order = Literal["shuffled", "fixed"]
Precision = Literal["float32", "float64"]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The point of one trial, and the seed of its initial weights."""

    eta: float
    """Learning rate η of the first epoch, per step on the mean gradient of a mini-batch."""
    lam: float
    """Weight λ of the L2 penalty λ(‖W1‖² + ‖W2‖²)."""
    seed: int
    """Seed of the initial weights."""
    rho: float = 0.9
    """Momentum coefficient ρ of equation (5)."""
    decay: float = 0.95
    """Factor on η after each epoch."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """What all trials of a stack have in common."""

    hidden: int = 50
    """Hidden units m."""
    batch: int = 100
    """Images in a mini-batch; the last of an epoch is smaller where the images do not divide evenly."""
    epochs: int = 10
    order: Order = "shuffled"
    """Mini-batches drawn anew each epoch, or the paper's: cut from the data as it lies."""
    order_seed: int = 0
    """Seed of the shuffled order: with the data, all that decides which images a step sees."""
    precision: Precision = "float32"
    mirror: bool = False
    """Each image mirrored, left to right, in half of the epochs: drawn from the order's seed and the epoch alone."""

    def for_epochs(self, epochs: int) -> Self:
        """Return the same settings for a training of another length."""
        return replace(self, epochs=epochs)
