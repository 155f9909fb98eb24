"""A whole stage through storage, as a user runs one: `coarsefine.run` on a campaign in a temporary folder.

The campaign's first stage is a warm-up of one epoch, so that the clock, which begins with its last record, covers all
that the measured stage needs: to be opened, claimed, trained, recorded and ended. Time inside training is taken by a
clock around `model.Training`; whatever else passed is storage and our own doing.
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
    """Seconds spent in `model.Training` since it was made, drawing weights and training, and the epochs reported."""

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
        """Hang the clock around `Training.start` and `Training.run_epoch`, and take it off again."""
        start, run_epoch = Training.__dict__["start"], Training.run_epoch
        Training.start = classmethod(self._start(start.__func__))  # type: ignore[method-assign,assignment]
        Training.run_epoch = self._run_epoch(run_epoch)  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            Training.start, Training.run_epoch = start, run_epoch  # type: ignore[method-assign]


class StagesOver(Exception):  # noqa: N818 - it is how a measured campaign is meant to end
    """All stages have ended; the final training is no part of what is timed."""


class Ear(coarsefine.Observer):
    """Notes when the last stage was opened and its epochs were recorded; ends the run before its final training."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch
        self._recorded: float | None = None
        self.opened = self.opening = 0.0  # and so they stay where the other workers were through before this one began
        self._forget()

    def _forget(self) -> None:
        self._seconds_before, self._epochs_before = self._stopwatch.seconds, self._stopwatch.trial_epochs
        self.training = 0.0
        self.trial_epochs = self.trials = 0

    def on_stage_opened(self, status: Any, stage: Any) -> None:  # noqa: ARG002
        """Count anew; the clock begins here where nothing of the stage before was our own."""
        self.opened = _clock()
        self.opening = self.opened - (self.opened if self._recorded is None else self._recorded)
        self._recorded = None
        self._forget()

    def on_progress(self, stage: Any) -> None:
        """Note what was trained and recorded so far."""
        self._recorded = _clock()
        self.training = self._stopwatch.seconds - self._seconds_before
        self.trial_epochs = self._stopwatch.trial_epochs - self._epochs_before
        self.trials = stage.look().progress.ended

    @property
    def seconds(self) -> float:
        """Return how long after its opening the last stage's last record was written; 0 if none was ours."""
        return 0.0 if self._recorded is None else self._recorded - self.opened

    def on_final_opened(self, campaign: Any, status: Any) -> None:  # noqa: ARG002
        """Leave."""
        raise StagesOver


class Stage:
    """Answers the parent: each round is all stages of a campaign, by this process or several at once."""

    def __init__(self, data: str | None) -> None:
        self._data = Path(data) if data else None

    def round(self, campaign: str, storage: str) -> dict[str, Any]:
        """Run a campaign file; return seconds of its last stage, and how many of them were not training."""
        stopwatch = Stopwatch()
        ear = Ear(stopwatch)
        with stopwatch.watching(), suppress(StagesOver):
            run_alone(campaign, storage, self._data, ear)
        return {
            "opening": ear.opening,
            "seconds": ear.seconds,
            "training": ear.training,
            "units": ear.trial_epochs,
            "trials": ear.trials,
        }


def run_alone(campaign: str, storage: str, data: Path | None, observer: coarsefine.Observer | None = None) -> None:
    """Run a campaign with this process as the only worker."""
    coarsefine.run(coarsefine.Campaign.load(campaign), storage, data=data, workers=1, observer=observer)
