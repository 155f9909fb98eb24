"""Which trials a figure draws, and what it shows of each."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any, TypeVar

from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.campaign.metric import Metric
from coarsefine.search.results.study import Study, value_of

StudyTrials = list[tuple[Study, FrozenTrial]]
"""Trials, each with its study."""
MOST_DRAWN = 2000
"""The most points of one trace. A browser takes a second to draw 6,000."""
T = TypeVar("T")


def search_studies(studies: Sequence[Study]) -> list[Study]:
    """Return the studies of the search stages, without those that train finalists or the winner again."""
    return [study for study in studies if study.is_search]


def thinned(trials: Sequence[T], key: Callable[[T], float]) -> list[T]:
    """Return the trials to draw, in their order: all, or at most `MOST_DRAWN`.

    If there are more, half of the drawn trials are the best ones, with the lowest keys; the other half is an even
    sample of the rest.
    """
    if len(trials) <= MOST_DRAWN:
        return list(trials)
    half = MOST_DRAWN // 2
    ranked = sorted(range(len(trials)), key=lambda index: key(trials[index]))
    kept = {*evenly(sorted(ranked[half:]), half), *ranked[:half]}
    return [trial for index, trial in enumerate(trials) if index in kept]


def evenly(items: Sequence[T], most: int) -> Sequence[T]:
    """Return all items, or at most so many of them at even distances."""
    return items if len(items) <= most else [items[n * len(items) // most] for n in range(most)]


def legend_name(name: str, drawn: int, total: int) -> str:
    """Return a trace's name in the legend, with the number of points drawn if it is not all of them."""
    return name if drawn == total else f"{name} ({drawn:,} of {total:,} drawn)"


def trial_links(trials: Iterable[tuple[Study, FrozenTrial]], metric: Metric) -> list[list[Any]]:
    """Return for each trial its study's name, its number and its outcome, from which a page makes a link."""
    return [[study.name, trial.number, _outcome(trial, metric)] for study, trial in trials]


def last_value(trial: FrozenTrial) -> float | None:
    """Return a trial's value, that of its last epoch if it is not complete, or None before its first."""
    if trial.state is TrialState.COMPLETE:
        return trial.value
    return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else trial.value


def _outcome(trial: FrozenTrial, metric: Metric) -> str:
    """Describe in words how a trial ended, or how far it is."""
    if trial.state is TrialState.COMPLETE:
        return metric.text(value_of(trial))
    if trial.state is TrialState.FAIL:
        return escape(trial.user_attrs.get("reason", "failed"))
    last = max(trial.intermediate_values, default=0)
    reached = f"{metric.text(trial.intermediate_values[last])} after epoch {last}, " if last else ""
    return f"{reached}{'pruned' if trial.state is TrialState.PRUNED else 'in training'}"
