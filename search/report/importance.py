"""How much each hyperparameter matters in a stage, by Optuna's measure, and what chance alone would give."""

import random
import statistics
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from coarsefine.search.results.study import Study, value_of

_LEAST_TRIALS = 20
"""Fewest completed trials of a stage. The measure compares the best tenth, at least two trials, with the others."""
_SHUFFLES = (40, 200)
"""Fewest and most shuffles. With more trials a shuffle takes longer, and fewer are needed."""
_SHUFFLED_TRIALS = 100_000
"""Number of trials in all shuffles together, within these bounds."""


@dataclass(frozen=True, slots=True)
class Part:
    """The share of one hyperparameter."""

    name: str
    share: float
    by_chance: tuple[float, float]
    """Range of the share in 95 % of shuffles, in which the values are assigned to the points at random."""

    @property
    def differs_from_chance(self) -> bool:
        """Return whether the share lies outside the range that chance gives."""
        return not self.by_chance[0] <= self.share <= self.by_chance[1]


@dataclass(frozen=True, slots=True)
class Importance:
    """The shares of all hyperparameters in a stage, which add up to one."""

    stage: str
    n: int
    """Number of completed trials."""
    parts: tuple[Part, ...]
    shuffles: int


def importance_in(study: Study) -> Importance | str:
    """Return the importance by PED-ANOVA, Optuna's default, or a sentence that says why it cannot be computed."""
    stage = study.attrs["stage"]
    if len(study.space) == 1:
        return f"Stage {stage}: only one hyperparameter was searched."
    completed = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    n, values = len(completed), [value_of(trial) for trial in completed]
    if n < _LEAST_TRIALS:
        return f"Stage {stage}: importance takes at least {_LEAST_TRIALS} completed trials, and there are {n}."
    if len(set(values)) == 1:
        return f"Stage {stage}: all trials have the same accuracy, so importance cannot be computed."
    fewest, most = _SHUFFLES
    shuffles = min(most, max(fewest, _SHUFFLED_TRIALS // n))
    with _quiet():
        copy = optuna.create_study(direction="maximize")
        copy.add_trials(
            optuna.create_trial(params=t.params, distributions=t.distributions, value=t.value) for t in completed
        )
        shares, by_chance = _shares(copy, values), _by_chance(copy, values, shuffles)
    parts = tuple(Part(name, shares[name], by_chance[name]) for name in study.space)
    return Importance(stage, n, parts, shuffles)


def _by_chance(study: optuna.Study, values: Sequence[float], shuffles: int) -> dict[str, tuple[float, float]]:
    rng = random.Random(0)  # noqa: S311 - nothing depends on its secrecy
    shuffled = [_shares(study, rng.sample(values, len(values))) for _ in range(shuffles)]
    return {name: _middle_95_percent([shares[name] for shares in shuffled]) for name in shuffled[0]}


def _middle_95_percent(shares: Sequence[float]) -> tuple[float, float]:
    """Return the range of the middle 95 %."""
    cuts = statistics.quantiles(shares, n=40, method="inclusive")
    return cuts[0], cuts[-1]


def _shares(study: optuna.Study, values: Sequence[float]) -> dict[str, float]:
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    # The evaluator takes lower targets as better, and warns of it.
    return optuna.importance.get_param_importances(
        study, evaluator=evaluator, target=lambda trial: -values[trial.number]
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Optuna's message about the study in memory and its warning about targets."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="PedAnovaImportanceEvaluator computes the importances")
            yield
    finally:
        optuna.logging.set_verbosity(before)
