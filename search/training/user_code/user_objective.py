"""A user's function as an objective: each call trains one slot, or a batch of slots if it is declared `batched`."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.checkpoints import State
from coarsefine.search.training.objective import EpochReport
from coarsefine.search.training.user_code.function import Function
from coarsefine.search.training.user_code.function_call import CallOptions, FunctionCall


@dataclass(slots=True, eq=False)
class FunctionStack:
    """Calls after equally many epochs, as one stack; they train one after another."""

    calls: list[FunctionCall]
    epoch: int = 0

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the slots still in training."""
        return [number for call in self.calls for number in call.numbers]

    def advance(self) -> list[EpochReport]:
        """Let each call train one epoch.

        Raises `Interrupted` if a function does not report in time after a stop.
        """
        self.epoch += 1
        reports = [report for call in self.calls for report in call.advance()]
        self.drop([])
        return reports

    def drop(self, numbers: Collection[int]) -> None:
        """Take slots out; a call without slots ends."""
        for call in self.calls:
            call.drop(numbers)
        self.calls = [call for call in self.calls if call.numbers]

    def join(self, other: "FunctionStack") -> None:
        """Take in the calls of another stack after equally many epochs."""
        self.calls = self.calls + other.calls

    def state_of(self, number: int) -> State | None:  # noqa: ARG002 - the same for all
        """Return None: a running function cannot be saved, so its slot restarts with the first epoch."""
        return None


@dataclass(frozen=True, slots=True)
class UserObjective:
    """Trains slots by calls of a user's function."""

    function: Function
    options: CallOptions

    @property
    def epochs(self) -> int:
        """Return the number of epochs of a trial."""
        return self.options.epochs

    def width(self, slot: Slot) -> int:  # noqa: ARG002 - the same for all
        """Return how many slots train together unless the stage sets `stack`: a batch of 16, or one."""
        return 16 if self.function.batched else 1

    def kind(self, slot: Slot) -> Hashable:  # noqa: ARG002 - the same for all
        """Return None: any slots can train together."""
        return None

    def start(self, slots: Sequence[Slot], epoch: int = 0, states: Sequence[State] = ()) -> FunctionStack:
        """Return slots as a stack: one call if the function trains batches, else one call for each slot.

        Raises `ValueError` after an epoch: calls have no states to resume from.
        """
        if epoch:
            raise ValueError(f"{len(slots)} slots cannot resume after epoch {epoch} from {states}")
        batches = [slots] if self.function.batched else [[slot] for slot in slots]
        return FunctionStack([FunctionCall(self.function, batch, self.options) for batch in batches])
