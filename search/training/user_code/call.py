"""Calls of user code that are advanced epoch by epoch, in step with their worker.

The worker asks for an epoch, and the user's code reports it. How the two talk is a `Conversation`: with a function in a
trial process, or with a command.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from coarsefine.search.errors import Interrupted
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.objective import EpochReport
from coarsefine.search.training.user_code.conversation import (
    Conversation,
    Killed,
    News,
    PrunedItself,
    Raised,
    Reported,
    Returned,
)
from coarsefine.search.training.user_code.epochs_remedy import EpochsRemedy
from coarsefine.search.training.user_code.values import Judged

_POLL_SECONDS = 0.1
"""Seconds between checks of the clock and of `stop`."""
_GAP_SECONDS = 5.0
"""A longer time between two checks does not count: the computer slept, or this process did not run."""
_STOP_SECONDS = 30.0
"""How long user code may take to its next report after a stop: half of what a worker process has."""


class _BrokenCall(Exception):  # noqa: N818 - the user code's fault, not ours
    """The user's code broke a rule; the message is the reason why its trials FAIL."""

    def __init__(self, reason: str, cause: str | None = None, attrs: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.cause, self.attrs = cause or reason, attrs or {}


class _KilledCall(Exception):  # noqa: N818 - nobody's fault, as far as is known
    """The process of the user's code was killed from outside."""


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What holds for every call of user code in one stage."""

    epochs: int
    timeout: float
    """Most seconds from one report to the next."""
    stop: Callable[[], bool]
    """Called while the worker waits: whether to leave."""
    on_detail: Callable[[str], None]
    """Called with the traceback of what user code raised."""
    on_warning: Callable[[str], None] = lambda _: None
    """Called if a resumed trial reports other values than before."""
    resumable: bool = False
    """Whether a call may be ended after an epoch and made again, since the code goes on from its trial's folder."""
    rungs: Sequence[int] = ()
    """The epochs after which a trial waits until it is decided whether it goes on."""
    may_return_early: bool = False
    """Whether a call may return before its last epoch, and return another value than it reported, as with Optuna."""
    remedy: EpochsRemedy | None = None
    """What to say of code that reports another number of epochs; by default what holds for a function."""

    @property
    def epochs_remedy(self) -> EpochsRemedy:
        """Return what to say of code that reports another number of epochs."""
        return self.remedy or EpochsRemedy(self.epochs)


@dataclass(slots=True, eq=False)
class Call:
    """One call of user code, and the slots it trains."""

    slots: Sequence[Slot]
    options: CallOptions
    conversation: Conversation
    values: list[float] = field(default_factory=list)
    """If it is resumable, the values that its slot has reached, also in earlier calls."""
    epoch: int = field(init=False)
    _positions: list[int] = field(init=False)
    """The positions in `slots` of those still in training."""
    _resumed: int = field(init=False)
    """The epochs that were reached when the code was started the last time."""
    _until: int = 0
    """The epoch before which the code may train on without being asked."""

    def __post_init__(self) -> None:
        self._positions = list(range(len(self.slots)))
        self.epoch = self._resumed = len(self.values)

    @property
    def numbers(self) -> list[int]:
        """Return the numbers of the slots still in training."""
        return [self.slots[position].number for position in self._positions]

    def advance(self, *, alone: bool = True) -> list[EpochReport]:
        """Let the code train one epoch; report on each slot, and drop those that have ended early.

        The last epoch ends with the call. If no other call of its stack runs (`alone`), the code may train on to its
        next rung or its end while the worker records; resumable code may not, since its reports return once recorded.
        Raises `Interrupted` if the code does not report in time after a stop.
        """
        ahead = alone and not self.options.resumable
        self._until = self._next_rung() if ahead else 0
        self.epoch += 1
        numbers = self.numbers
        try:
            reports = self._train()
        except _BrokenCall as broken:
            reports = [
                EpochReport(number, failure=str(broken), cause=broken.cause, attrs=broken.attrs) for number in numbers
            ]
        except _KilledCall as killed:
            reports = [EpochReport(number, killed=str(killed)) for number in numbers]
        self.drop([report.number for report in reports if report.ends_early])
        if self.options.resumable and self._positions:
            self.values.append(reports[0].value)
        return reports

    def pause(self) -> None:
        """End the code until the next epoch is wanted, if it can be resumed."""
        if self.options.resumable:
            self.conversation.end()
            self._resumed = self.epoch

    def ask_to_end(self, numbers: Collection[int]) -> None:
        """Ask the code to end if these are all its slots that are left; `drop` waits until it has."""
        if set(self.numbers) <= set(numbers):
            self.conversation.ask_to_end()

    def drop(self, numbers: Collection[int]) -> None:
        """Take slots out; the call ends when no slot is left."""
        self._positions = [p for p in self._positions if self.slots[p].number not in numbers]
        if not self._positions:
            self.conversation.end()

    def _train(self) -> list[EpochReport]:
        match self._next_epoch():
            case PrunedItself(reason, attrs):
                return [EpochReport(number, pruned=reason, attrs=attrs) for number in self.numbers]
            case Returned() as returned if self.epoch < self.options.epochs:
                return self._early_end(returned)
            case Returned() as returned:
                return self._reports(returned)
            case reported:
                reports = self._reports(reported)
        going = [report for report in reports if report.failure is None]
        self._positions = [p for p, report in zip(self._positions, reports, strict=True) if report.failure is None]
        if self.epoch < self.options.epochs or not going:
            return reports
        ended = {report.number: report for report in self._with_end(going)}
        return [ended.get(report.number, report) for report in reports]

    def _next_epoch(self) -> Reported | Returned | PrunedItself:
        """Let the code run until it ends or reports this epoch, after those that it has reported in an earlier call."""
        while isinstance(news := self._next_news(), Reported) and 0 < news.epoch <= self._resumed:
            value, before = news.judged[0].value if news.judged else None, self.values[news.epoch - 1]
            if value != before:
                self.options.on_warning(
                    f"{self._trials.capitalize()} reported {value} in epoch {news.epoch} when it was resumed, and "
                    f"{before} before, which stays recorded."
                )
        if isinstance(news, Reported) and news.epoch != self.epoch:
            if news.epoch > self.options.epochs:
                raise self._too_often()
            raise _BrokenCall(f"reported epoch {news.epoch}, where epoch {self.epoch} is due: report each epoch once")
        return news

    def _next_news(self) -> Reported | Returned | PrunedItself:
        self.conversation.proceed(self._positions, self.epoch - 1, self._until)
        match self._wait():
            case Raised(reason, cause, detail, attrs):
                if detail:
                    self.options.on_detail(f"{self._trials}: {detail}")
                raise _BrokenCall(reason, cause, attrs)
            case Killed(reason):
                raise _KilledCall(reason)
            case news:
                return news

    def _wait(self) -> News:
        started = last = time.monotonic()
        stopped = math.inf
        while (news := self.conversation.receive(_POLL_SECONDS)) is None:
            now = time.monotonic()
            if now > last + _POLL_SECONDS + _GAP_SECONDS:
                started += now - last  # this process was suspended, and so the user's code may have been
            last = now
            if now > started + self.options.timeout:
                self.conversation.kill()
                raise _BrokenCall(
                    f"neither reported nor returned within {self.options.timeout:g} s: give it a longer `timeout` "
                    "in the campaign's file and run that file, or have it report more often",
                    "timeout",
                )
            stopped = min(stopped, now) if self.options.stop() else math.inf
            if now > stopped + _STOP_SECONDS:
                raise Interrupted(f"Stopped within an epoch: {self._trials} did not finish it in time.")
        return news

    def _early_end(self, returned: Returned) -> list[EpochReport]:
        """Return the reports of a call that has returned before its last epoch."""
        if not self.options.may_return_early:
            raise _BrokenCall(self.options.epochs_remedy.ended_after(self.epoch - 1))
        return [replace(report, last=True) for report in self._reports(returned)]

    def _with_end(self, reported: list[EpochReport]) -> list[EpochReport]:
        """Return the reports of the last epoch after the call has ended, which must return the same values if any."""
        match self._next_news():
            case Reported():
                raise self._too_often()
            case PrunedItself(reason, attrs):
                return [EpochReport(report.number, pruned=reason, attrs=attrs) for report in reported]
            case Returned(None, None, attrs=attrs):
                return [replace(report, attrs=attrs) for report in reported]
            case returned:
                final = self._reports(returned)
        if not self.options.may_return_early and _values(final) != _values(reported):
            raise _BrokenCall(f"returned {returned.shown}, which is not what it reported last: return that, or nothing")
        return [_ended(before, now) for before, now in zip(reported, final, strict=True)]

    def _reports(self, news: Reported | Returned) -> list[EpochReport]:
        """Return an epoch's values as one report for each slot still in training."""
        if news.failure is not None:
            raise _BrokenCall(news.failure, "values", news.attrs)
        judged = news.judged or {}
        return [_report(self.slots[p].number, judged[p], news.attrs) for p in self._positions]

    def _next_rung(self) -> int:
        """Return the next epoch after which the code waits; after the last rung, the first that it may not report."""
        return next((rung for rung in self.options.rungs if rung > self.epoch), self.options.epochs + 1)

    def _too_often(self) -> _BrokenCall:
        return _BrokenCall(self.options.epochs_remedy.reported_too_often())

    @property
    def _trials(self) -> str:
        numbers = ", ".join(str(slot.number) for slot in self.slots)
        return f"{'trials' if len(self.slots) > 1 else 'trial'} {numbers}"


def _report(number: int, judged: Judged, attrs: Mapping[str, Any]) -> EpochReport:
    if judged.failure is None:
        return EpochReport(number, judged.value, metrics=judged.metrics, attrs=attrs)
    diverged = judged.failure.startswith("diverged")
    return EpochReport(number, failure=judged.failure, cause=None if diverged else "value", attrs=attrs)


def _ended(reported: EpochReport, returned: EpochReport) -> EpochReport:
    """Return the report of a slot's last epoch together with what the call has returned for it."""
    if returned.failure is not None:
        return returned
    metrics = {**reported.metrics, **returned.metrics}
    return replace(reported, final=returned.value, metrics=metrics, attrs=returned.attrs)


def _values(reports: Sequence[EpochReport]) -> list[tuple[float, str | None]]:
    return [(report.value, report.failure) for report in reports]
