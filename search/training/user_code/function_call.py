"""A call of a user's function, in step with its worker: the worker asks for an epoch, the function reports it.

Each call has a thread that runs only while the worker waits for it. So one function runs at a time, and a trial that
waits for its rung to be decided waits within its call of `report`.
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

from coarsefine.search.campaign.labels import counted
from coarsefine.search.errors import Interrupted, TrialEnded
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.objective import EpochReport
from coarsefine.search.training.user_code.function import Function, describe

_POLL_SECONDS = 0.1
"""Seconds between checks of the clock and of `stop`."""
_STOP_SECONDS = 30.0
"""How long a function may take to its next report after a stop: half of what a worker process has."""
_END_SECONDS = 10.0
"""How long a function may clean up after `report` raised `TrialEnded`."""
_RAISE_SECONDS = 1.0
"""How long a function that did not end by itself has after `TrialEnded` is raised in its thread."""


@dataclass(frozen=True, slots=True)
class _Message:
    """What the function's thread sends the worker: an epoch's values, or the end of the call."""

    values: Any
    ended: bool
    error: BaseException | None = None
    """The exception that ended the call."""


class _BrokenCall(Exception):  # noqa: N818 - the function's fault, not ours
    """The function broke a rule; the message is the reason why its trials FAIL."""


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What holds for every call of a function in one stage."""

    epochs: int
    timeout: float
    """Most seconds from one report to the next."""
    stop: Callable[[], bool]
    """Called while the worker waits for the function: whether to leave."""
    on_detail: Callable[[str], None]
    """Called with the traceback of what a function raised."""
    on_warning: Callable[[str], None]
    """Called if a function cannot be ended."""


@dataclass(slots=True, eq=False)
class FunctionCall:
    """One call of the function, and the slots it trains."""

    function: Function
    slots: Sequence[Slot]
    options: CallOptions
    epoch: int = 0
    _positions: list[int] = field(init=False)
    """The positions in `slots` of those still in training."""
    _thread: threading.Thread = field(init=False)
    _messages: "queue.SimpleQueue[_Message]" = field(default_factory=queue.SimpleQueue)
    _continue: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _running: bool = False
    """Whether the worker waits for the function, rather than the function for the worker."""
    _cancelled: bool = False
    """Whether the function is to end at its next report."""

    def __post_init__(self) -> None:
        self._positions = list(range(len(self.slots)))
        self._thread = threading.Thread(target=self._run, name=f"trains {self._trials}", daemon=True)

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the slots still in training."""
        return [self.slots[position].number for position in self._positions]

    def advance(self) -> list[EpochReport]:
        """Let the function train one epoch; report on each slot, and drop those that failed.

        The last epoch ends with the call. Raises `Interrupted` if the function does not report in time after a stop.
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
        """Take slots out; the call ends when no slot is left."""
        self._positions = [p for p in self._positions if self.slots[p].number not in numbers]
        if not self._positions:
            self._end()

    def report(self, values: Any) -> tuple[int, ...] | None:
        """Pass the values of an epoch to the worker, and wait until it asks for the next epoch.

        The user's function is given this method as `report`, and calls it from its thread. Returns the positions of
        the trials that go on to a function that trains batches, else None. Raises `TrialEnded` if no trial goes on.
        """
        if not self._cancelled:
            self._messages.put(_Message(values, ended=False))
            self._continue.acquire()
        if self._cancelled:
            raise TrialEnded
        return tuple(self._positions) if self.function.batched else None

    def _train(self) -> list[EpochReport]:
        last = self.epoch == self.options.epochs
        message = self._next_message()
        if message.ended and not last:
            raise _BrokenCall(
                f"returned after {counted(self.epoch - 1, 'report')}, and `epochs` is {self.options.epochs}: "
                "set `epochs` to the number of reports that it makes"
            )
        reports = self._reports(message.values)
        self._positions = [p for p, report in zip(self._positions, reports, strict=True) if report.failure is None]
        if last and not message.ended and self._positions:
            self._check_end(self._next_message(), [report for report in reports if report.failure is None])
        return reports

    def _check_end(self, message: _Message, reported: list[EpochReport]) -> None:
        if not message.ended:
            most = counted(self.options.epochs, "time")
            raise _BrokenCall(f"reported more than {most}: set `epochs` to the number of reports that it makes")
        if message.values is not None and _values(self._reports(message.values)) != _values(reported):
            raise _BrokenCall(
                f"returned {reprlib.repr(message.values)}, which is not what it reported last: return that, or nothing"
            )

    def _next_message(self) -> _Message:
        """Let the function run to its next report or its end, and return what it sent."""
        self._running = True
        self._thread.start() if self._thread.ident is None else self._continue.release()
        message = self._wait()
        self._running = False
        if message.error is not None:
            self.options.on_detail(f"{self._trials}: {''.join(traceback.format_exception(message.error)).rstrip()}")
            raise _BrokenCall(describe(message.error)) from message.error
        return message

    def _wait(self) -> _Message:
        started, stopped = time.monotonic(), math.inf
        while True:
            try:
                return self._messages.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                now = time.monotonic()
            if now > started + self.options.timeout:
                raise _BrokenCall(
                    f"neither reported nor returned within {self.options.timeout:g} s: give it a longer `timeout`, or "
                    "have it report more often"
                )
            stopped = min(stopped, now) if self.options.stop() else math.inf
            if now > stopped + _STOP_SECONDS:
                raise Interrupted(f"Stopped within an epoch: {self._trials} did not finish it in time.")

    def _reports(self, values: Any) -> list[EpochReport]:
        """Return an epoch's values as one report for each slot still in training."""
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

    def _run(self) -> None:
        """Call the function, in its own thread."""
        points, seeds = [slot.point for slot in self.slots], [slot.seed for slot in self.slots]
        try:
            with threadpool_limits(1):  # OpenMP has a limit for each thread
                if self.function.batched:
                    returned = self.function.call(points, seeds, self.report)
                else:
                    returned = self.function.call(points[0], seeds[0], self.report)
            message = _Message(returned, ended=True)
        except BaseException as error:  # noqa: BLE001 - any error fails the trial, and no worker
            message = _Message(None, ended=True, error=error)
        self._messages.put(message)

    def _end(self) -> None:
        """End the function and its thread; the function may clean up first, unless it already timed out."""
        if self._cancelled or self._thread.ident is None:
            return
        self._cancelled = True
        self._continue.release()
        self._thread.join(0 if self._running else _END_SECONDS)
        if self._thread.is_alive():
            # Raise it as soon as the thread runs Python code, which ends even an endless loop.
            thread_id = ctypes.c_ulong(self._thread.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread_id, ctypes.py_object(TrialEnded))
            self._thread.join(_RAISE_SECONDS)
        if self._thread.is_alive():
            self.options.on_warning(
                f"The objective's call for {self._trials} cannot be ended: it runs on in process {os.getpid()} until "
                "that process ends."
            )

    @property
    def _trials(self) -> str:
        numbers = ", ".join(str(slot.number) for slot in self.slots)
        return f"{'trials' if len(self.slots) > 1 else 'trial'} {numbers}"


def _report(number: int, value: Any, epoch: int) -> EpochReport:
    try:
        found = None if isinstance(value, str | bytes | bool) else float(value)  # `float` would accept these
    except (TypeError, ValueError, OverflowError):
        found = None
    if found is None:
        return _failed(number, f"its value of epoch {epoch} is {reprlib.repr(value)}, no number")
    if not math.isfinite(found):
        return _failed(number, f"diverged in epoch {epoch}: its value is {found}")
    return EpochReport(number, found)


def _values(reports: Sequence[EpochReport]) -> list[tuple[float, str | None]]:
    return [(report.value, report.failure) for report in reports]


def _failed(number: int, reason: str) -> EpochReport:
    return EpochReport(number, 0.0, failure=reason)
