"""Leases that are renewed from a separate thread, since what they are held for may take longer than they last."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from coarsefine.search.errors import StorageError

_TICK_SECONDS = 1.0
"""Seconds between looks at the clocks."""
_JUMP_SECONDS = 5.0
"""By how much the clocks must differ from what was expected to count as a jump."""


@dataclass(slots=True)
class Gaps:
    """Notices that the computer or this process was suspended, or that the time was set."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
    _wall: float = field(init=False)
    _steady: float = field(init=False)

    def __post_init__(self) -> None:
        self._wall, self._steady = self.wall(), self.steady()

    def noticed(self) -> bool:
        """Return whether there was a jump since the last call; it is made every second or so."""
        wall, steady = self.wall(), self.steady()
        passed, slept = wall - self._wall, steady - self._steady
        self._wall, self._steady = wall, steady
        return abs(passed - slept) > _JUMP_SECONDS or slept > _TICK_SECONDS + _JUMP_SECONDS


@contextmanager
def renewed(renew: Callable[[], object], lease_seconds: float, gaps: Gaps | None = None) -> Iterator[None]:
    """Call `renew` four times in each lease while entered, and at once after a jump of the clock or a suspend.

    Errors of the database are left to the holder, which meets the same ones when it records.
    """
    finished, gaps = threading.Event(), gaps or Gaps()

    def keep() -> None:
        due = gaps.steady() + lease_seconds / 4
        while not finished.wait(min(_TICK_SECONDS, lease_seconds / 4)):
            if gaps.noticed() or gaps.steady() >= due:
                due = gaps.steady() + lease_seconds / 4
                with suppress(StorageError):
                    renew()

    thread = threading.Thread(target=keep, name="renews leases", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
