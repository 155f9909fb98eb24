"""A whole stage through storage, as a user runs one: `search.run` on a campaign in a temporary folder.

The campaign's first stage is a warm-up of one epoch, so that the clock, which begins with its last record, covers all
that the measured stage needs: to be opened, claimed, trained, recorded and ended. Time inside training is taken by a
clock around `model.Training`; whatever else passed is storage and our own doing.
"""

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import search
from model import Training

Clock = Callable[[], float]
_clock: Clock = time.perf_counter


class Stopwatch:
    """Seconds spent in `model.Training` since it was made: drawing weights, and epochs."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with our clock around it."""

        def call(*arguments: Any, **named: Any) -> Any:
            began = _clock()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds += _clock() - began

        return call

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hang the clock around `Training.start` and `Training.run_epoch`, and take it off again."""
        start, run_epoch = Training.__dict__["start"], Training.run_epoch
        Training.start = classmethod(self.timed(start.__func__))  # type: ignore[method-assign,assignment]
        Training.run_epoch = self.timed(run_epoch)  # type: ignore[method-assign]
        try:
            yield
        finally:
            Training.start, Training.run_epoch = start, run_epoch  # type: ignore[method-assign]


class StagesOver(Exception):  # noqa: N818 - it is how a measured campaign is meant to end
    """All stages have ended; the final training is no part of what is timed."""


class Ear(search.Watcher):
    """Notes when the last stage was opened and its epochs were recorded; ends the run before its final training."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch
        self._training_before = 0.0
        self.stages = 0
        self.before = self.opened = self.last = _clock()
        self.trial_epochs = self.trials = 0
        self.training = 0.0

    def stage_opened(self, stage: Any, epochs: int) -> None:  # noqa: ARG002
        """Count anew; where no epoch of the stage before was our own, the clock begins here."""
        self.opened = _clock()
        self.before = self.last if self.stages and self.trial_epochs else self.opened
        self._training_before = self._stopwatch.seconds
        self.stages += 1
        self.trial_epochs = self.trials = 0

    def epoch_recorded(self, records: list[Any]) -> None:
        """Count what was recorded."""
        self.last = _clock()
        self.training = self._stopwatch.seconds - self._training_before
        self.trial_epochs += len(records)
        self.trials += sum(record.state.is_finished() for record in records)

    def final_epoch(self, report: Any, epochs: int) -> None:  # noqa: ARG002
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
            "opening": ear.opened - ear.before,
            "seconds": ear.last - ear.opened,
            "training": ear.training,
            "units": ear.trial_epochs,
            "trials": ear.trials,
        }


def run_alone(campaign: str, storage: str, data: Path | None, watcher: search.Watcher | None = None) -> None:
    """Run a campaign with this process as the only worker it starts."""
    alone: dict[str, Any] = {"workers": 1} if "workers" in inspect.signature(search.run).parameters else {}
    search.run(search.Campaign.load(campaign), Path(storage), data=data, watcher=watcher, **alone)
