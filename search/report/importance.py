"""How much of a stage's outcome goes with η and how much with λ, by Optuna's measure, and what chance would give."""

import random
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.study import Study, value_of

_LEAST = 20
"""Completed trials: the measure looks at the best tenth of them, and one trial is no tenth."""
_SHUFFLES = 200


@dataclass(frozen=True, slots=True)
class Importance:
    """The share of η in a stage; that of λ is the rest."""

    stage: str
    n: int
    """Completed trials."""
    eta: float
    by_chance: tuple[float, float]
    """Where the share of η lies in 95 % of shuffles, in which values go with no point."""

    @property
    def told_from_chance(self) -> bool:
        """Tell whether the share lies outside of what chance gives."""
        return not self.by_chance[0] <= self.eta <= self.by_chance[1]


def importance_in(study: Study) -> Importance | str:
    """Return the importance by PED-ANOVA, Optuna's default, or a sentence that says why there is none."""
    stage = study.attrs["stage"]
    completed = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    values = [value_of(trial) for trial in completed]
    if len(completed) < _LEAST:
        return f"Stage {stage}: {len(completed)} completed trials are too few, at least {_LEAST} are needed."
    if len(set(values)) == 1:
        return f"Stage {stage}: all trials have the same accuracy."
    rng = random.Random(0)  # noqa: S311 - shuffles, no secret
    with _quiet():
        shuffled = [_share_of_eta(completed, rng.sample(values, len(values))) for _ in range(_SHUFFLES)]
        cuts = statistics.quantiles(shuffled, n=40, method="inclusive")
        return Importance(stage, len(completed), _share_of_eta(completed, values), (cuts[0], cuts[-1]))


def _share_of_eta(trials: Sequence[FrozenTrial], values: Sequence[float]) -> float:
    study = optuna.create_study(direction="maximize")
    for trial, value in zip(trials, values, strict=True):
        study.add_trial(optuna.create_trial(params=trial.params, distributions=trial.distributions, value=value))
    return optuna.importance.get_param_importances(study)["eta"]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from telling of each study in memory."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
