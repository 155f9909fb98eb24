"""What a user's function is given to report its epochs with, in the trial process.

A trial that waits for its rung to be decided waits within its call of `report`. Each report is sent at once, so that
none is lost if the process crashes. Between rungs, short epochs do not wait for the answer, which takes longer than
they do.
"""

import operator
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from coarsefine.search.errors import TrialEnded
from coarsefine.search.training.user_code.channel import Channel, Message
from coarsefine.search.training.user_code.failures import shown
from coarsefine.search.training.user_code.values import judge, judge_batch

_AHEAD_SECONDS = 0.05
"""How long after an answer a function may go on without another one: a stop ends longer epochs at their report."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A trial that a call trains."""

    number: int
    point: Mapping[str, Any]
    seed: int
    attempt: int
    """1 at first; one more each time the trial starts again, because its worker was stopped or killed."""
    folder: Path
    """A folder of the trial's own, the same one for each attempt."""
    epoch: int = 0
    """The epochs that are recorded already; 0 unless the campaign is `resumable`."""

    def as_dict(self) -> dict[str, Any]:
        """Return its fields."""
        return {name: getattr(self, name) for name in self.__slots__}

    def as_message(self) -> Message:
        """Return the form in a message."""
        return {**self.as_dict(), "folder": str(self.folder)}

    @classmethod
    def from_message(cls, form: Message) -> Self:
        """Read what `as_message` returned."""
        return cls(**{**form, "folder": Path(form["folder"])})


@dataclass(slots=True)
class Reporter:
    """Sends what a function reports, and receives which of its trials go on."""

    channel: Channel
    trials: Sequence[Planned]
    metric: str
    batched: bool
    epochs: int
    """How many epochs a trial has."""
    until: int = 0
    """The epoch before which reports may return without an answer: the next rung, if it waits there only."""
    count: int = 0
    """The number of the last epoch that was reported in this call."""
    attrs: dict[str, Any] = field(default_factory=dict)
    """What the function stores with its trial."""
    going: list[int] = field(init=False)
    """The positions in `trials` of those that go on."""
    _answered: float = field(init=False)
    _process: int = field(default_factory=os.getpid)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _is_over: bool = False
    """Whether the call has ended: its process may make another one, whose trial a late report is not of."""

    def __post_init__(self) -> None:
        self.going, self._answered = list(range(len(self.trials))), time.monotonic()

    def send(self, values: Any, epoch: int | None, metrics: Mapping[str, Any]) -> bool:
        """Send the values of an epoch, and wait if the worker has to decide; return whether a trial goes on."""
        if os.getpid() != self._process:
            raise RuntimeError("report was called in a child process: call it in the process that called your function")
        with self._lock:
            if self._is_over:
                raise RuntimeError("report was called after your function had returned: end its threads before that")
            if not self.going:
                return False
            due = self.count + 1
            self.count = due if epoch is None else _whole(epoch)
            judged = self.judged(values, self.count, metrics)
            waits = self.count != due or self._is_to_wait(judged)
            self.channel.send({"kind": "report", "epoch": self.count, **judged, "attrs": self.attrs, "waits": waits})
            if waits:
                self._receive_answer()
            return bool(self.going)

    def close(self) -> bool:
        """Refuse reports from now on, since the call has ended; return False if a thread is in one at this moment."""
        self._is_over = True
        if free := self._lock.acquire(blocking=False):
            self._lock.release()
        return free

    def _is_to_wait(self, judged: Message) -> bool:
        """Return whether the worker may end a trial after this report, or has not answered for long."""
        if self.count >= self.until or time.monotonic() > self._answered + _AHEAD_SECONDS:
            return True
        return judged["failure"] is not None or any(one["failure"] is not None for one in judged["judged"])

    def _receive_answer(self) -> None:
        answer = self.channel.receive() or {"kind": "end"}
        self.going = answer["positions"] if answer["kind"] == "continue" else []
        self.until = answer.get("until", 0)
        self._answered = time.monotonic()

    def judged(self, values: Any, epoch: int, metrics: Mapping[str, Any] | None = None) -> Message:
        """Return an epoch's values as the part of a message."""
        if not self.batched:
            return {"judged": [judge(values, epoch, self.metric, metrics).as_dict()], "failure": None}
        found = judge_batch(values, len(self.going), epoch, self.metric)
        if isinstance(found, str):
            return {"judged": [], "failure": found}
        return {"judged": [one.as_dict() for one in found], "failure": None}


class Report:
    """Reports the epochs of one trial: `report(value, loss=…)`."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        (trial,) = reporter.trials
        self.number, self.seed, self.attempt, self.folder = trial.number, trial.seed, trial.attempt, trial.folder
        self.epoch, self.epochs = trial.epoch, reporter.epochs

    def __call__(self, value: Any, *, epoch: int | None = None, **metrics: Any) -> None:
        """Report the value of an epoch, and further metrics by name; wait until the next epoch may begin.

        Epochs count from 1. Without `epoch`, it is the one after the last reported in this call.
        Raises `TrialEnded` if the trial does not go on.
        """
        if not self._reporter.send(value, epoch, metrics):
            raise TrialEnded


class BatchReport:
    """Reports the epochs of several trials that one call trains: `report([value, …])`."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.numbers = [trial.number for trial in reporter.trials]
        self.attempts = [trial.attempt for trial in reporter.trials]
        self.folders = [trial.folder for trial in reporter.trials]
        self.epochs = reporter.epochs

    def __call__(self, values: Any) -> tuple[int, ...]:
        """Report an epoch's values, one for each trial in training; return the positions of those that go on.

        Raises `TrialEnded` if no trial goes on.
        """
        if not self._reporter.send(values, None, {}):
            raise TrialEnded
        return tuple(self._reporter.going)


def _whole(epoch: Any) -> int:
    """Return the number of an epoch, which may be a whole number of NumPy or PyTorch."""
    try:
        return operator.index(epoch)
    except TypeError as error:
        raise TypeError(f"report: epoch = {shown(epoch)} must be a whole number, from 1") from error


def stepper(reporter: Reporter) -> Callable[..., bool]:
    """Return a function that reports a value and returns whether the trial goes on."""

    def report(value: Any, epoch: int | None = None) -> bool:
        return reporter.send(value, epoch, {})

    return report
