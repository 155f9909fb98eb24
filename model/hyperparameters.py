"""The inputs of a training besides its images.

`Hyperparameters` belong to one trial. `TrainingSettings` are common to all trials of a stack, which see the same
mini-batches. A field that a search may vary is annotated with a `NetworkSetting`, from which campaign files, tables,
charts and reports follow. A new one needs such a field, and its use in the equations.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from coarsefine.model.network_setting import NetworkSetting, Simplest

Order = Literal["shuffled", "fixed"]
Precision = Literal["float32", "float64"]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Hyperparameters of one trial, and the seed of its initial weights."""

    eta: Annotated[
        float,
        NetworkSetting(
            symbol="η", title="η, learning rate", noun="the learning rate η",
            help="Learning rate η of the first epoch, applied to the mean gradient of a mini-batch.",
            above=0, may_widen=True, simplest=Simplest(3, "the smallest η"),
        ),
    ]  # fmt: skip
    lam: Annotated[
        float,
        NetworkSetting(
            name="lambda", symbol="λ", title="λ, L2 weight", noun="the L2 weight λ",
            help="Weight λ of the L2 penalty λ(‖W1‖² + ‖W2‖²).",
            least=0, may_widen=True, spans_decades=True, simplest=Simplest(2, "the largest λ", highest=True),
        ),
    ]  # fmt: skip
    seed: int
    """Seed of the initial weights."""
    rho: Annotated[
        float,
        NetworkSetting(
            symbol="ρ", title="ρ, momentum", noun="the momentum ρ", help="Momentum coefficient ρ of equation (5).",
            least=0, below=1,
        ),
    ] = 0.9  # fmt: skip
    decay: Annotated[
        float,
        NetworkSetting(
            symbol="decay", title="decay of η, each epoch", noun="the decay of η",
            help="Factor on η after each epoch.", above=0, most=1,
        ),
    ] = 0.95  # fmt: skip

    def learning_rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 1: η·decayᵉ⁻¹."""
        rate = self.eta
        for _ in range(epoch - 1):  # libraries round powers differently, but products alike
            rate *= self.decay
        return rate


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Settings common to all trials of a stack."""

    hidden: Annotated[
        int,
        NetworkSetting(
            symbol="hidden", title="hidden units", noun="the number of hidden units", help="Hidden units m.", least=1,
            most=100_000, simplest=Simplest(1, "the fewest hidden units"),
        ),
    ] = 50  # fmt: skip
    batch: Annotated[
        int,
        NetworkSetting(
            symbol="batch", title="batch, images of a step", noun="the size of the mini-batches",
            help="Images in a mini-batch. The last one of an epoch is smaller if the images do not divide evenly.",
            least=1,
        ),
    ] = 100  # fmt: skip
    epochs: int = 10
    order: Order = "shuffled"
    """Whether each epoch draws new mini-batches, or cuts the data in its stored order, as the paper does."""
    order_seed: int = 0
    """Seed of the shuffled order. With the data, it alone decides which images a step sees."""
    precision: Precision = "float32"
    mirror: bool = False
    """Whether each image is mirrored left to right in half of the epochs, drawn from `order_seed` and the epoch."""
