"""How fast a stage trains and how long it still takes: its remaining epochs divided by the epochs per second.

The terminal watches the epochs as they are recorded and measures their rate (`Rate`). The server is asked at any
moment and calculates the rate from the recorded trials (`recorded_rate`).
"""

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.campaign.pruning import Pruning
from coarsefine.search.results.study import in_order_of_end
from coarsefine.search.storage.slots import FinishedTrial

_WINDOW_SECONDS = 60.0
"""The time over which `Rate` measures."""
_LEAST_STEPS = 5
"""The least number of steps over which `Rate` measures, even if they take longer than the window."""
_RECENT = 50
"""The number of finished trials in a recorded rate: before them, other workers may have taken part."""


def epochs_left(pruning: Pruning, trials: int, trained: int, finished: Collection[FinishedTrial]) -> int:
    """Return how many epochs a stage still trains, provided that no further trial fails.

    `trained` are the epochs that all trials together have trained.
    """
    if len(finished) == trials:
        return 0
    failed = [trial for trial in finished if trial.state is TrialState.FAIL]
    # In a stage that prunes, another trial goes on in place of a failed one.
    dropped = 0 if pruning.rungs else sum(pruning.epochs - trial.epochs for trial in failed)
    return max(pruning.epochs_of(trials) - trained - dropped, 0)


def seconds_left(epochs: int, rate: float | None) -> float | None:
    """Return how long epochs take at a rate per second; None if the rate is unknown or zero."""
    if not epochs:
        return 0.0
    return epochs / rate if rate else None


def recorded_rate(trials: Iterable[FrozenTrial], training: int, now: datetime) -> float | None:
    """Return the epochs per second of a stage with `training` trials in training; None if unknown.

    A trial trains at the mean speed of those that finished last, and until one has finished, of those in training: a
    trial that was resumed started again at that moment, so that it seems to have trained its earlier epochs in no time.
    `now` is a local time without a zone, like Optuna's times.
    """
    started = [trial for trial in trials if trial.datetime_start]
    timed = in_order_of_end(started)[-_RECENT:] or [trial for trial in started if trial.state is TrialState.RUNNING]
    seconds = sum(_seconds(trial, now) for trial in timed)
    epochs = sum(len(trial.intermediate_values) for trial in timed)
    return training * epochs / seconds if training and epochs and seconds else None


def _seconds(trial: FrozenTrial, now: datetime) -> float:
    return max(0.0, ((trial.datetime_complete or now) - (trial.datetime_start or now)).total_seconds())


@dataclass(slots=True)
class Rate:
    """The rate at which a count grows, measured from the moment when it first grew."""

    _steps: deque[tuple[float, float]] = field(default_factory=deque)
    """Moments in seconds, and the count at each."""

    def step(self, now: float, count: float) -> None:
        """Record the count at a moment. If it fell because a worker was killed, measure from the lower count."""
        if self._steps and count < self._steps[-1][1]:
            fallen = self._steps[-1][1] - count
            self._steps = deque((moment, before - fallen) for moment, before in self._steps)
        if not self._steps or count > self._steps[-1][1]:
            self._steps.append((now, count))
        while len(self._steps) > _LEAST_STEPS and self._steps[1][0] < now - _WINDOW_SECONDS:
            self._steps.popleft()

    def per_second(self, now: float) -> float | None:
        """Return the rate; None until the count has grown. It falls if nothing grows for longer than usual."""
        if len(self._steps) < 2:  # noqa: PLR2004 - a rate needs two points
            return None
        (first, low), (last, high) = self._steps[0], self._steps[-1]
        usual = (last - first) / (len(self._steps) - 1)
        return (high - low) / max(last - first, now - first - 2 * usual, 1e-9)
