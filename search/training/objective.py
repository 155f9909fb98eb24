"""How slots are trained: an objective makes stacks of slots; each epoch of a stack gives one report per slot."""

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

from coarsefine.model import Training, TrainingSettings
from coarsefine.model.datasets import Dataset
from coarsefine.model.training import fitting_width
from coarsefine.search.campaign.dimension import Value
from coarsefine.search.campaign.network_settings import hyperparameters_of, stack_fields
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.checkpoints import State


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One slot after one epoch."""

    number: int
    """The slot's number."""
    value: float = 0.0
    """What the search compares, for the network the validation accuracy; ignored if the trial failed."""
    train_loss: float = math.nan
    validation_loss: float = math.nan
    """Mean losses; NaN if the objective has none."""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """Further metrics of the epoch by name; None for one that is not finite."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """What user code wants to be stored with the trial."""
    failure: str | None = None
    """Why the trial failed in this epoch."""
    cause: str | None = None
    """Equal for failures of user code that have the same cause; None for values that diverged."""
    pruned: str | None = None
    """Why the trial, by its own decision, ended before this epoch."""
    killed: str | None = None
    """How its process was killed from outside; the slot is then tried again."""
    final: float | None = None
    """The trial's value, if user code returns another one than that of its last epoch."""
    last: bool = False
    """Whether the trial is complete, although it could have more epochs."""

    @property
    def ends_early(self) -> bool:
        """Return whether the slot has left the stack."""
        return self.last or not (self.failure is self.pruned is self.killed is None)


class Stack(Protocol):
    """Slots that train together."""

    @property
    def epoch(self) -> int:
        """Return how many epochs these slots have been trained."""

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the slots still in training."""

    def advance(self) -> list[EpochReport]:
        """Train one epoch; return a report for every slot of the stack, and drop those that have ended early."""

    def ask_to_end(self, numbers: Collection[int]) -> None:
        """Ask the training of slots to end without waiting for it; `drop`, called next, waits."""

    def drop(self, numbers: Collection[int]) -> None:
        """Take slots out; the others train on as if those had never been in the stack."""

    def join(self, other: Self) -> None:
        """Take in the slots of another stack after equally many epochs."""

    def pause(self) -> None:
        """Prepare for waiting at a rung, until `advance` is called again or all slots are dropped."""

    def state_of(self, number: int) -> State | None:
        """Return the arrays from which a slot's training can resume; None if it cannot."""


class Objective(Protocol):
    """Makes stacks of slots. A slot's reports depend on its point and seed, never on the other slots of its stack."""

    @property
    def epochs(self) -> int:
        """Return the number of epochs of a trial."""

    def width(self, slot: Slot) -> int:
        """Return how many slots of this slot's kind train fastest together on this machine."""

    def kind(self, slot: Slot) -> Hashable:
        """Return the slot's kind: slots of one kind can train together."""

    def start(self, slots: Sequence[Slot], epoch: int = 0, states: Sequence[State] = ()) -> Stack:
        """Return slots of one kind as a stack after `epoch` epochs, from the states `Stack.state_of` returned then.

        Raises `ValueError` if the states do not fit.
        """


class NetworkStack(Training):
    """A stack of networks, one for each slot."""

    def advance(self) -> list[EpochReport]:
        """Train one epoch."""
        return [
            EpochReport(
                number=report.number,
                value=report.validation.accuracy,
                train_loss=report.train_loss,
                validation_loss=report.validation.loss,
                failure=report.divergence if report.diverged else None,
            )
            for report in self.run_epoch()
        ]

    def ask_to_end(self, numbers: Collection[int]) -> None:
        """Do nothing: nothing runs between two epochs."""

    def pause(self) -> None:
        """Do nothing: a stack that waits needs nothing but its memory."""


@dataclass(frozen=True, slots=True)
class NetworkObjective:
    """Trains slots as stacks of the built-in network."""

    settings: TrainingSettings
    """The training settings of all slots; a slot's point may replace some."""
    fixed: Mapping[str, Value]
    """The hyperparameters that are not searched."""
    data: Dataset
    own_order: bool = False
    """Whether a slot's seed draws its mini-batches, as it draws its initial weights."""

    @property
    def epochs(self) -> int:
        """Return the number of epochs of a trial."""
        return self.settings.epochs

    def width(self, slot: Slot) -> int:
        """Return how many slots of this slot's kind train fastest together on this machine."""
        return fitting_width(self.kind(slot))

    def kind(self, slot: Slot) -> TrainingSettings:
        """Return the training settings that slots of one stack share: the network's shape and the mini-batches."""
        return replace(
            self.settings,
            order_seed=slot.seed if self.own_order else self.settings.order_seed,
            **stack_fields(slot.point),
        )

    def start(self, slots: Sequence[Slot], epoch: int = 0, states: Sequence[State] = ()) -> NetworkStack:
        """Return slots as a stack before their first epoch, or after `epoch` epochs, from their states."""
        numbers = [slot.number for slot in slots]
        trials = [hyperparameters_of({**self.fixed, **slot.point}, slot.seed) for slot in slots]
        return NetworkStack.resume(trials, self.kind(slots[0]), self.data, numbers, epoch, states)
