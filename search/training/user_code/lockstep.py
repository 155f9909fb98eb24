"""Calls of a user's function in step with a worker: the worker asks for epochs, the function reports when it has one.

Each call lives in a thread that goes on only while its worker waits for it. So one function runs at a time, and a trial
that waits for its rung to be decided stands in the midst of its `report`.
"""

import ctypes
import math
import os
import queue
import reprlib
import threading
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from threadpoolctl import threadpool_limits

from coarsefine.search.errors import Interrupted, TrialEnded
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.objective import EpochReport
from coarsefine.search.training.user_code.function import Function, told

_POLL_SECONDS = 0.1
"""Between looks at the clock, and at whether a stop was asked for."""
_STOP_SECONDS = 30.0
"""How long a function may take to its next report once a stop was asked for: half of what a worker process has."""
_END_SECONDS = 10.0
"""How long it may tidy up where it is not to go on."""
_LAST_SECONDS = 1.0
"""And how long it has to heed an exception that is raised amid it."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What came of a call: an epoch's values, or its end."""

    values: Any
    ended: bool
    error: BaseException | None = None
    """What it raised, if it ended so."""


class _BrokenCall(Exception):  # noqa: N818 - the call's fault, not ours
    """The call did not keep to its terms; the message is the reason why its trials FAIL."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a call is held to, and who hears of it."""

    epochs: int
    timeout: float
    """Most seconds from one report to the next."""
    stop: Callable[[], bool]
    """Asked while the function is waited for: whether to leave."""
    log: Callable[[str], None]
    """Hears the traceback of what a function raised."""
    warn: Callable[[str], None]
    """Hears of a function that cannot be ended."""


@dataclass(slots=True, eq=False)
class Call:
    """One call of the function, and the slots it trains."""

    function: Function
    slots: Sequence[Slot]
    terms: Terms
    epoch: int = 0
    _in: list[int] = field(init=False)
    """Positions of the slots still in training."""
    _thread: threading.Thread = field(init=False)
    _said: "queue.SimpleQueue[_Said]" = field(default_factory=queue.SimpleQueue)
    _go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _running: bool = False
    """Whether the worker waits for the function, and not the function for the worker."""
    _over: bool = False
    """Whether the function is to end at its next report."""

    def __post_init__(self) -> None:
        self._in = list(range(len(self.slots)))
        self._thread = threading.Thread(target=self._live, name=f"trains {self._whom}", daemon=True)

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the slots still in training."""
        return [self.slots[place].number for place in self._in]

    def advance(self) -> list[EpochReport]:
        """Have the function train an epoch; report on each slot, and let the failed go.

        The last epoch is over when the function is. Raises `Interrupted` where a stop was asked for, and not heeded.
        """
        self.epoch += 1
        numbers = self.numbers
        try:
            reports = self._train()
        except _BrokenCall as broken:
            reports = [_failed(number, str(broken)) for number in numbers]
        self.drop([report.number for report in reports if report.failure is not None])
        return reports

    def drop(self, numbers: Collection[int]) -> None:
        """Take slots out; the call ends with its last."""
        self._in = [place for place in self._in if self.slots[place].number not in numbers]
        if not self._in:
            self._end()

    def report(self, values: Any) -> tuple[int, ...] | None:
        """Take the values of an epoch: this is what the function is handed, and called from its thread.

        Return, to a function that trains batches, the positions of the trials that go on. Raises `TrialEnded` where
        none does.
        """
        if not self._over:
            self._said.put(_Said(values, ended=False))
            self._go.acquire()
        if self._over:
            raise TrialEnded
        return tuple(self._in) if self.function.batched else None

    def _train(self) -> list[EpochReport]:
        last = self.epoch == self.terms.epochs
        said = self._hear()
        if said.ended and not last:
            raise _BrokenCall(
                f"returned after {self.epoch - 1} of {self.terms.epochs} epochs: give it the `epochs` that it reports"
            )
        reports = self._reports(said.values)
        self._in = [p for p, report in zip(self._in, reports, strict=True) if report.failure is None]
        if last and not said.ended and self._in:
            self._check_end(self._hear(), [report for report in reports if report.failure is None])
        return reports

    def _check_end(self, said: _Said, reported: list[EpochReport]) -> None:
        if not said.ended:
            raise _BrokenCall(f"reported more than {self.terms.epochs} epochs: give it the `epochs` that it reports")
        if said.values is not None and _values(self._reports(said.values)) != _values(reported):
            raise _BrokenCall(
                f"returned {reprlib.repr(said.values)}, which is not what it reported last: return that, or nothing"
            )

    def _hear(self) -> _Said:
        """Let the function go on to its next report or its end, and return that."""
        self._running = True
        self._thread.start() if self._thread.ident is None else self._go.release()
        said = self._wait()
        self._running = False
        if said.error is not None:
            self.terms.log(f"{self._whom}: {''.join(traceback.format_exception(said.error)).rstrip()}")
            raise _BrokenCall(told(said.error)) from said.error
        return said

    def _wait(self) -> _Said:
        began, asked = time.monotonic(), math.inf
        while True:
            try:
                return self._said.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                now = time.monotonic()
            if now > began + self.terms.timeout:
                raise _BrokenCall(
                    f"neither reported nor returned within {self.terms.timeout:g} s: give it a longer `timeout`, or "
                    "have it report more often"
                )
            asked = min(asked, now) if self.terms.stop() else math.inf
            if now > asked + _STOP_SECONDS:
                raise Interrupted(f"Stopped within an epoch: {self._whom} did not come to its end.")

    def _reports(self, values: Any) -> list[EpochReport]:
        """Return what an epoch's values say of each slot still in training."""
        numbers = self.numbers
        if not self.function.batched:
            return [_report(numbers[0], values, self.epoch)]
        try:
            found = list(values)
        except TypeError:
            found = None
        if found is None or len(found) != len(numbers):
            raise _BrokenCall(
                f"its values of epoch {self.epoch} are {reprlib.repr(values)}, where {len(numbers)} trials are in"
            )
        return [_report(number, value, self.epoch) for number, value in zip(numbers, found, strict=True)]

    def _live(self) -> None:
        """Call the function: the thread's whole life."""
        points, seeds = [slot.point for slot in self.slots], [slot.seed for slot in self.slots]
        try:
            with threadpool_limits(1):  # OpenMP counts for each thread anew
                if self.function.batched:
                    returned = self.function.call(points, seeds, self.report)
                else:
                    returned = self.function.call(points[0], seeds[0], self.report)
            said = _Said(returned, ended=True)
        except BaseException as error:  # noqa: BLE001 - whatever it is, its trial fails for it, and no worker
            said = _Said(None, ended=True, error=error)
        self._said.put(said)

    def _end(self) -> None:
        """Have the function end, and its thread; it has some time to tidy up, unless it was waited for in vain."""
        if self._over or self._thread.ident is None:
            return
        self._over = True
        self._go.release()
        self._thread.join(0 if self._running else _END_SECONDS)
        if self._thread.is_alive():
            _raise_in(self._thread)
            self._thread.join(_LAST_SECONDS)
        if self._thread.is_alive():
            self.terms.warn(
                f"The objective's call for {self._whom} cannot be ended: it goes on in process {os.getpid()} as long "
                "as that lives."
            )

    @property
    def _whom(self) -> str:
        numbers = ", ".join(str(slot.number) for slot in self.slots)
        return f"{'trials' if len(self.slots) > 1 else 'trial'} {numbers}"


def _report(number: int, value: Any, epoch: int) -> EpochReport:
    found = _number(value)
    if found is None:
        return _failed(number, f"its value of epoch {epoch} is {reprlib.repr(value)}, no number")
    if not math.isfinite(found):
        return _failed(number, f"diverged in epoch {epoch}: its value is {found}")
    return EpochReport(number, found)


def _number(value: Any) -> float | None:
    """Return a number of whatever kind as a float; None for what is none, also where it looks like one."""
    if isinstance(value, str | bytes | bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _values(reports: Sequence[EpochReport]) -> list[tuple[float, str | None]]:
    return [(report.value, report.failure) for report in reports]


def _failed(number: int, reason: str) -> EpochReport:
    return EpochReport(number, 0.0, failure=reason)


def _raise_in(thread: threading.Thread) -> None:
    """Raise `TrialEnded` in a thread as soon as it runs Python code: a loop without an end ends."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(TrialEnded))
