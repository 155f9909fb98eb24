"""How long a stage still takes, told from how long its trials took."""

from datetime import datetime
from statistics import fmean

from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.results.study import Study

_RECENT = 50
"""Ended trials that the estimate rests on: workers may have come or gone since earlier ones."""


def seconds_left(study: Study, epochs: int, live: int, now: datetime) -> float | None:
    """Return about how many seconds a stage still takes with the workers it has; None where that cannot be told.

    `epochs` is of a trial that trains to its end, `live` the number of trials in training now, `now` a local time
    without a zone, as Optuna's times are.
    """
    if study.finished:
        return 0.0
    running = [trial for trial in study.trials if trial.state is TrialState.RUNNING and trial.datetime_start]
    each = _seconds_each(study, running, epochs, now)
    if not live or each is None:
        return None
    waiting = study.count(TrialState.WAITING)
    begun = sum(max(0.0, each - _elapsed(trial, now)) for trial in running)
    return (waiting * each + begun) / live


def _seconds_each(study: Study, running: list[FrozenTrial], epochs: int, now: datetime) -> float | None:
    """Return the mean duration of the trials that ended last; before any has, what those in training promise."""
    ended = [trial for trial in study.trials if trial.datetime_start and trial.datetime_complete]
    ended.sort(key=lambda trial: (trial.datetime_complete, trial.number))
    if ended:
        return fmean(_elapsed(trial, trial.datetime_complete) for trial in ended[-_RECENT:])
    begun = [trial for trial in running if trial.intermediate_values]
    if not begun:
        return None
    return fmean(_elapsed(trial, now) * epochs / len(trial.intermediate_values) for trial in begun)


def _elapsed(trial: FrozenTrial, until: datetime | None) -> float:
    return max(0.0, (until - trial.datetime_start).total_seconds()) if trial.datetime_start and until else 0.0
