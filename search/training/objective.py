"""What a worker trains: a stack of slots goes in, one report per slot and epoch comes out."""

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

from coarsefine.model import Hyperparameters, Training, TrainingSettings
from coarsefine.model.datasets import Dataset
from coarsefine.model.stack_width import fitting_width
from coarsefine.search.campaign.dimension import Value
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.checkpoints import State


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One slot after one epoch."""

    number: int
    """The slot's."""
    value: float
    """What the search maximises: of the network, its validation accuracy. Of no account where the trial failed."""
    train_loss: float = math.nan
    validation_loss: float = math.nan
    """Mean losses, NaN where there are none."""
    failure: str | None = None
    """Why the trial ended here without a value, if it did; it is no longer in the stack then."""


class Stack(Protocol):
    """Slots in training together."""

    @property
    def epoch(self) -> int:
        """Return how many epochs these slots have been trained."""

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the slots still in training."""

    def run_epoch(self) -> list[EpochReport]:
        """Train one epoch; report on every slot that was in the stack, then let the failed go."""

    def drop(self, numbers: Collection[int]) -> None:
        """Take slots out; the others go on as if they had never been there."""

    def join(self, other: Self) -> None:
        """Take in the slots of another stack that has come as far."""

    def state_of(self, number: int) -> State | None:
        """Return what the rest of a slot's training follows from; None where that cannot be had."""


class Objective(Protocol):
    """Makes stacks of slots; a slot's reports depend on its point and seed, never on its neighbours."""

    @property
    def epochs(self) -> int:
        """Return the number of epochs of a trial."""

    def width(self, slot: Slot) -> int:
        """Return how many slots of this one's kind train together fastest on this machine."""

    def kind(self, slot: Slot) -> Hashable:
        """Return what slots must have in common to train together."""

    def start(self, slots: Sequence[Slot]) -> Stack:
        """Return these slots, all of one kind, as a stack before its first epoch."""

    def resume(self, slots: Sequence[Slot], epoch: int, states: Sequence[State]) -> Stack:
        """Return these slots as a stack that has come so far: it goes on from what `Stack.state_of` returned then.

        Raises `ValueError` where that does not fit.
        """


@dataclass(frozen=True, slots=True, eq=False)
class NetworkStack:
    """Slots as one stack of the NumPy network."""

    training: Training

    @property
    def epoch(self) -> int:
        """Return how many epochs these slots have been trained."""
        return self.training.epoch

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the slots still in training."""
        return self.training.lanes

    def run_epoch(self) -> list[EpochReport]:
        """Train one epoch."""
        return [
            EpochReport(
                number=report.lane,
                value=report.validation.accuracy,
                train_loss=report.train_loss,
                validation_loss=report.validation.loss,
                failure=report.divergence if report.diverged else None,
            )
            for report in self.training.run_epoch()
        ]

    def drop(self, numbers: Collection[int]) -> None:
        """Take slots out."""
        self.training.drop(numbers)

    def join(self, other: "NetworkStack") -> None:
        """Take in the slots of another stack that has come as far."""
        self.training.join(other.training)

    def state_of(self, number: int) -> State:
        """Return a slot's weights, and those of the step before."""
        return self.training.state_of(number)


@dataclass(frozen=True, slots=True)
class NetworkObjective:
    """The stacked NumPy network."""

    settings: TrainingSettings
    """What all slots have in common; hidden units and mini-batch are those of slots that do not search them."""
    fixed: Mapping[str, Value]
    """The settings that are not searched."""
    data: Dataset
    own_order: bool = False
    """Whether a slot's seed draws its mini-batches too, as it does its initial weights."""

    @property
    def epochs(self) -> int:
        """Return the number of epochs of a trial."""
        return self.settings.epochs

    def width(self, slot: Slot) -> int:
        """Return how many slots of this one's kind train together fastest on this machine."""
        return fitting_width(self.kind(slot), self.data.train.x.shape[1])

    def kind(self, slot: Slot) -> TrainingSettings:
        """Return what slots must have in common: the shape of the network, and the mini-batches."""
        return replace(
            self.settings,
            hidden=int(slot.point.get("hidden", self.settings.hidden)),
            batch=int(slot.point.get("batch", self.settings.batch)),
            order_seed=slot.seed if self.own_order else self.settings.order_seed,
        )

    def start(self, slots: Sequence[Slot]) -> NetworkStack:
        """Return these slots as one stack."""
        numbers = [slot.number for slot in slots]
        return NetworkStack(Training.start(self._trials(slots), self.kind(slots[0]), self.data, numbers))

    def resume(self, slots: Sequence[Slot], epoch: int, states: Sequence[State]) -> NetworkStack:
        """Return these slots as one stack after an epoch."""
        numbers = [slot.number for slot in slots]
        training = Training.resume(self._trials(slots), self.kind(slots[0]), self.data, numbers, epoch, states)
        return NetworkStack(training)

    def _trials(self, slots: Sequence[Slot]) -> list[Hyperparameters]:
        return [_hyperparameters({**self.fixed, **slot.point}, slot.seed) for slot in slots]


def _hyperparameters(setting: Mapping[str, Value], seed: int) -> Hyperparameters:
    eta, lam, rho, decay = (float(setting[name]) for name in ("eta", "lambda", "rho", "decay"))
    return Hyperparameters(eta, lam, seed, rho, decay)
