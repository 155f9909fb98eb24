"""A user's function as an objective: each call of it trains one slot, or a batch of them where it declares so."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.checkpoints import State
from coarsefine.search.training.objective import EpochReport
from coarsefine.search.training.user_code.function import Function
from coarsefine.search.training.user_code.lockstep import Call, Terms

_BATCH = 16
"""Slots of a batch, where the stage does not say."""


@dataclass(slots=True, eq=False)
class Calls:
    """Calls that have come equally far, as one stack: they train one after another."""

    calls: list[Call]
    epoch: int = 0

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the slots still in training."""
        return [number for call in self.calls for number in call.numbers]

    def run_epoch(self) -> list[EpochReport]:
        """Have each call train an epoch; raises `Interrupted` where a stop was asked for, and not heeded."""
        self.epoch += 1
        reports = [report for call in self.calls for report in call.advance()]
        self.drop([])
        return reports

    def drop(self, numbers: Collection[int]) -> None:
        """Take slots out; a call without any ends."""
        for call in self.calls:
            call.drop(numbers)
        self.calls = [call for call in self.calls if call.numbers]

    def join(self, other: "Calls") -> None:
        """Take in the calls of another stack that has come as far."""
        self.calls = self.calls + other.calls

    def state_of(self, number: int) -> State | None:  # noqa: ARG002 - there is none of any
        """Return None: of a function in the midst of its work nothing can be kept, and its slot begins anew."""
        return None


@dataclass(frozen=True, slots=True)
class UserObjective:
    """A user's function, called on terms."""

    function: Function
    terms: Terms

    @property
    def epochs(self) -> int:
        """Return the number of epochs of a trial."""
        return self.terms.epochs

    def width(self, slot: Slot) -> int:  # noqa: ARG002 - of all the same
        """Return how many slots train together: a batch, or one."""
        return _BATCH if self.function.batched else 1

    def kind(self, slot: Slot) -> Hashable:  # noqa: ARG002 - any go together
        """Return what slots must have in common to train together: nothing."""
        return None

    def start(self, slots: Sequence[Slot]) -> Calls:
        """Return slots as a stack: one call where the function trains batches, else one for each."""
        batches = [slots] if self.function.batched else [[slot] for slot in slots]
        return Calls([Call(self.function, batch, self.terms) for batch in batches])

    def resume(self, slots: Sequence[Slot], epoch: int, states: Sequence[State]) -> Calls:
        """Raise `ValueError`: there are no states."""
        raise ValueError(f"of {len(slots)} slots nothing was kept in epoch {epoch}: {states}")
