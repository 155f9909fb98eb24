"""How a worker talks with a call of user code: what the code can have done, and what the worker can do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from coarsefine.search.training.user_code.values import Judged


@dataclass(frozen=True, slots=True)
class Reported:
    """The user's code has reported an epoch."""

    epoch: int
    judged: Mapping[int, Judged]
    """The values of the trials in training, by position."""
    failure: str | None = None
    """Why these are not such values."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """What it stores with its trial."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The user's code has ended by itself, and returned the values of its last epoch or nothing."""

    judged: Mapping[int, Judged] | None = None
    failure: str | None = None
    shown: str = ""
    """What it returned, for people."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """What it stores with its trial."""


@dataclass(frozen=True, slots=True)
class Raised:
    """The user's code has failed."""

    reason: str
    cause: str
    """Equal for failures that have the same cause."""
    detail: str = ""
    """Its traceback."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """What it stores with its trial."""


@dataclass(frozen=True, slots=True)
class PrunedItself:
    """The user's code has ended its trial before its last epoch, without having been asked to."""

    reason: str
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """What it stores with its trial."""


@dataclass(frozen=True, slots=True)
class Killed:
    """The process of the user's code was killed by somebody else, maybe for lack of memory."""

    reason: str


News = Reported | Returned | Raised | PrunedItself | Killed


class Conversation(Protocol):
    """One call of user code, for slots that train together."""

    def proceed(self, positions: Sequence[int], epoch: int, until: int) -> None:
        """Let the code train its next epoch, after `epoch` epochs; the first time, or after `end`, start it.

        `positions` are those of the slots that are still in training. Before it has reported the epoch `until`, the
        code may train on without being asked, and its reports are received one by one.
        """

    def receive(self, seconds: float) -> News | None:
        """Return what the code did; None if it did nothing for so many seconds."""

    def kill(self) -> None:
        """Kill the code's process with all that it started."""

    def ask_to_end(self) -> None:
        """Ask the code to end, and return at once; `end` waits for it. So many calls end in the time of one."""

    def end(self) -> None:
        """End the call: let code that waits clean up, and kill code that runs. Do nothing if it has ended."""
