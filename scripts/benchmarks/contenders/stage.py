"""Time a whole stage through storage, as a user runs one: `coarsefine.run` on a campaign in a temporary folder.

The campaign's first stage is a warm-up of one epoch. The clock starts with its last record, so that it covers the whole
measured stage: opening, claiming, training, recording and ending. A clock around `coarsefine.model.Training` takes the
time spent in training; the rest is storage and our own bookkeeping.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import coarsefine
from coarsefine.model import Report, Training

Clock = Callable[[], float]
_clock: Clock = time.perf_counter


class Stopwatch:
    """Counts the seconds spent in `Training` (drawing weights and training) and the epochs it reported."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.trial_epochs = 0

    def _start(self, function: Callable[..., Training]) -> Callable[..., Training]:
        def call(*arguments: Any, **named: Any) -> Training:
            began = _clock()
            training = function(*arguments, **named)
            self.seconds += _clock() - began
            return training

        return call

    def _run_epoch(self, function: Callable[[Training], list[Report]]) -> Callable[[Training], list[Report]]:
        def call(training: Training) -> list[Report]:
            began = _clock()
            reports = function(training)
            self.seconds += _clock() - began
            self.trial_epochs += len(reports)
            return reports

        return call

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Wrap `Training.start` and `Training.run_epoch` with the clock, and unwrap them afterwards."""
        start, run_epoch = Training.__dict__["start"], Training.run_epoch
        Training.start = classmethod(self._start(start.__func__))  # type: ignore[method-assign,assignment]
        Training.run_epoch = self._run_epoch(run_epoch)  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            Training.start, Training.run_epoch = start, run_epoch  # type: ignore[method-assign]


class StagesOver(Exception):  # noqa: N818 - it is how a measured campaign is meant to end
    """Raised when all stages have ended: the final training is not timed."""


class StageTimer(coarsefine.Observer):
    """Records when the last stage was opened and its epochs were recorded; ends the run before its final training."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch
        self._recorded: float | None = None
        self.opened = self.opening = 0.0  # they remain so if the other workers finished before this one started
        self._forget()

    def _forget(self) -> None:
        self._seconds_before, self._epochs_before = self._stopwatch.seconds, self._stopwatch.trial_epochs
        self.training = 0.0
        self.trial_epochs = self.trials = 0

    def on_stage_opened(self, status: Any, stage: Any) -> None:  # noqa: ARG002
        """Reset the counts; the clock starts here if this process recorded nothing in the previous stage."""
        self.opened = _clock()
        self.opening = self.opened - (self.opened if self._recorded is None else self._recorded)
        self._recorded = None
        self._forget()

    def on_progress(self, stage: Any) -> None:
        """Add the epochs that were trained and recorded since the last call."""
        self._recorded = _clock()
        self.training = self._stopwatch.seconds - self._seconds_before
        self.trial_epochs = self._stopwatch.trial_epochs - self._epochs_before
        self.trials = stage.snapshot().progress.ended

    @property
    def seconds(self) -> float:
        """Return the seconds from the opening of the last stage to our last record in it; 0 if we recorded none."""
        return 0.0 if self._recorded is None else self._recorded - self.opened

    def on_final_opened(self, campaign: Any, status: Any) -> None:  # noqa: ARG002
        """Stop the run."""
        raise StagesOver


class Stage:
    """Answer the parent's requests: each round runs all stages of a campaign, in this process or several at once."""

    def __init__(self, data: str | None) -> None:
        self._data = Path(data) if data else None

    def round(self, campaign: str, storage: str) -> dict[str, Any]:
        """Run a campaign file; return the seconds of its last stage, and how many of them were not training."""
        stopwatch = Stopwatch()
        timer = StageTimer(stopwatch)
        with stopwatch.watching(), suppress(StagesOver):
            run_alone(campaign, storage, self._data, timer)
        return {
            "opening": timer.opening,
            "seconds": timer.seconds,
            "training": timer.training,
            "units": timer.trial_epochs,
            "trials": timer.trials,
        }


def run_alone(campaign: str, storage: str, data: Path | None, observer: coarsefine.Observer | None = None) -> None:
    """Run a campaign with this process as the only worker."""
    coarsefine.run(coarsefine.Campaign.load(campaign), storage, data=data, workers=1, observer=observer)
