"""User code as an objective: each call trains one slot, or a batch of slots if it is a function declared `batched`."""

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.checkpoints import State
from coarsefine.search.training.objective import EpochReport
from coarsefine.search.training.user_code.call import Call, CallOptions
from coarsefine.search.training.user_code.conversation import Conversation

_VALUES = "values"
_BATCH = 16
"""How many slots a call trains unless the stage sets `stack`, if the function trains batches."""


@dataclass(slots=True, eq=False)
class CallStack:
    """Calls after equally many epochs, as one stack; they train one after another."""

    calls: list[Call]
    epoch: int = 0

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the slots still in training."""
        return [number for call in self.calls for number in call.numbers]

    def advance(self) -> list[EpochReport]:
        """Let each call train one epoch.

        Raises `Interrupted` if user code does not report in time after a stop.
        """
        self.epoch += 1
        alone = len(self.calls) == 1
        reports = [report for call in self.calls for report in call.advance(alone=alone)]
        self.drop([])
        return reports

    def ask_to_end(self, numbers: Collection[int]) -> None:
        """Ask the calls of which no other slot is left to end."""
        for call in self.calls:
            call.ask_to_end(numbers)

    def drop(self, numbers: Collection[int]) -> None:
        """Take slots out; a call without slots ends."""
        for call in self.calls:
            call.drop(numbers)
        self.calls = [call for call in self.calls if call.numbers]

    def join(self, other: "CallStack") -> None:
        """Take in the calls of another stack after equally many epochs."""
        self.calls = self.calls + other.calls

    def pause(self) -> None:
        """End the processes of resumable code until the next epoch is wanted."""
        for call in self.calls:
            call.pause()

    def state_of(self, number: int) -> State | None:
        """Return the values of a slot's epochs if its code can resume from its folder.

        Else return None: a running call cannot be saved, so its slot restarts with the first epoch.
        """
        (call,) = [call for call in self.calls if number in call.numbers]
        return {_VALUES: np.array(call.values)} if call.options.resumable else None


@dataclass(frozen=True, slots=True)
class UserObjective:
    """Trains slots by calls of user code."""

    options: CallOptions
    converse: Callable[[Sequence[Slot]], Conversation]
    """Begins a call that trains these slots."""
    batched: bool = False
    """Whether one call trains several slots."""

    @property
    def epochs(self) -> int:
        """Return the number of epochs of a trial."""
        return self.options.epochs

    def width(self, slot: Slot) -> int:  # noqa: ARG002 - the same for all
        """Return how many slots train together unless the stage sets `stack`."""
        return _BATCH if self.batched else 1

    def kind(self, slot: Slot) -> Hashable:  # noqa: ARG002 - the same for all
        """Return None: any slots can train together."""
        return None

    def start(self, slots: Sequence[Slot], epoch: int = 0, states: Sequence[State] = ()) -> CallStack:
        """Return slots as a stack: one call if it trains batches, else one call for each slot.

        Raises `ValueError` after an epoch if the code is not resumable, or if the states are not of that epoch.
        """
        if not epoch:
            batches = [slots] if self.batched else [[slot] for slot in slots]
            return CallStack([Call(batch, self.options, self.converse(batch)) for batch in batches])
        reached = [list(map(float, state.get(_VALUES, ()))) for state in states]
        if not self.options.resumable or any(len(values) != epoch for values in reached):
            raise ValueError(f"{len(slots)} slots cannot resume after epoch {epoch} from {states}")
        resumed = zip(slots, reached, strict=True)
        return CallStack([Call([slot], self.options, self.converse([slot]), list(v)) for slot, v in resumed], epoch)
