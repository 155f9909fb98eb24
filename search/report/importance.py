"""How much of a stage's outcome goes with η and how much with λ, by Optuna's measure, and what chance would give."""

import random
import statistics
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.study import Study, value_of

_LEAST = 20
"""Completed trials: the measure looks at the best tenth of them, and one trial is no tenth."""
_SHUFFLES = (40, 200)
"""At least and at most. A shuffle of many trials takes long, and chance gives them little."""
_SHUFFLED_TRIALS = 100_000
"""Within these bounds, so many in all."""


@dataclass(frozen=True, slots=True)
class Importance:
    """The share of η in a stage; that of λ is the rest."""

    stage: str
    n: int
    """Completed trials."""
    eta: float
    shuffles: int
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
        return f"Stage {stage}: with {len(completed)} completed trials it cannot be told; that takes {_LEAST} or more."
    if len(set(values)) == 1:
        return f"Stage {stage}: all trials have the same accuracy, so that nothing can be told."
    fewest, most = _SHUFFLES
    shuffles = min(most, max(fewest, _SHUFFLED_TRIALS // len(completed)))
    with _quiet():
        copy = optuna.create_study(direction="maximize")
        copy.add_trials([_bare(trial) for trial in completed])
        eta = _share_of_eta(copy, values)
        return Importance(stage, len(completed), eta, shuffles, _by_chance(copy, values, shuffles))


def _by_chance(study: optuna.Study, values: Sequence[float], shuffles: int) -> tuple[float, float]:
    rng = random.Random(0)  # noqa: S311 - shuffles, no secret
    shares = [_share_of_eta(study, rng.sample(values, len(values))) for _ in range(shuffles)]
    cuts = statistics.quantiles(shares, n=40, method="inclusive")
    return cuts[0], cuts[-1]


def _share_of_eta(study: optuna.Study, values: Sequence[float]) -> float:
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    # It takes lower targets for the better ones, and warns of it.
    found = optuna.importance.get_param_importances(
        study, evaluator=evaluator, target=lambda trial: -values[trial.number]
    )
    return found["eta"]


def _bare(trial: FrozenTrial) -> FrozenTrial:
    return optuna.create_trial(params=trial.params, distributions=trial.distributions, value=trial.value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from telling of a study in memory, and from its warning about targets."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="PedAnovaImportanceEvaluator computes the importances")
            yield
    finally:
        optuna.logging.set_verbosity(before)
