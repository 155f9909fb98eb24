"""What a worker trains: a stack of slots goes in, one report per slot and epoch comes out."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from model import Hyperparameters, Settings, train
from model.datasets import Dataset
from search.storage import Slot


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One slot after one epoch."""

    lane: int
    """The slot's place in the sequence that was handed in."""
    epoch: int
    value: float
    """What the search maximises: validation accuracy."""
    train_loss: float
    validation_loss: float
    failure: str | None
    """Why the trial ended here without a value, if it did."""


class Objective(Protocol):
    """Trains a stack of slots; yields the reports of each epoch. A slot that failed reports no more."""

    @property
    def epochs(self) -> int:
        """Return the number of epochs of a trial."""

    def __call__(self, slots: Sequence[Slot]) -> Generator[list[EpochReport], None, None]:
        """Train these slots together."""


@dataclass(frozen=True, slots=True)
class NetworkObjective:
    """The stacked NumPy network."""

    settings: Settings
    rho: float
    decay: float
    data: Dataset

    @property
    def epochs(self) -> int:
        """Return the number of epochs of a trial."""
        return self.settings.epochs

    def __call__(self, slots: Sequence[Slot]) -> Generator[list[EpochReport], None, None]:
        """Train these slots as one stack."""
        trials = [Hyperparameters(s.point.eta, s.point.lam, s.seed, self.rho, self.decay) for s in slots]
        for reports in train(trials, self.settings, self.data):
            yield [
                EpochReport(
                    lane=report.lane,
                    epoch=report.epoch,
                    value=report.validation.accuracy,
                    train_loss=report.train_loss,
                    validation_loss=report.validation.loss,
                    failure=report.divergence if report.diverged else None,
                )
                for report in reports
            ]
