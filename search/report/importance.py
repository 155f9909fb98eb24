"""How much of a stage's outcome goes with each searched setting, by Optuna's measure, and what chance would give."""

import random
import statistics
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.results.study import Study, value_of

_LEAST = 20
"""Completed trials: the measure looks at the best tenth of them, and one trial is no tenth."""
_SHUFFLES = (40, 200)
"""At least and at most. A shuffle of many trials takes long, and chance gives them little."""
_SHUFFLED_TRIALS = 100_000
"""Within these bounds, so many in all."""


@dataclass(frozen=True, slots=True)
class Part:
    """The share of one setting."""

    name: str
    share: float
    by_chance: tuple[float, float]
    """Where it lies in 95 % of shuffles, in which values go with no point."""

    @property
    def told_from_chance(self) -> bool:
        """Tell whether the share lies outside of what chance gives."""
        return not self.by_chance[0] <= self.share <= self.by_chance[1]


@dataclass(frozen=True, slots=True)
class Importance:
    """The shares of all settings in a stage; together they are one."""

    stage: str
    n: int
    """Completed trials."""
    parts: tuple[Part, ...]
    shuffles: int


def importance_in(study: Study) -> Importance | str:
    """Return the importance by PED-ANOVA, Optuna's default, or a sentence that says why there is none."""
    stage = study.attrs["stage"]
    if len(study.space) == 1:
        return f"Stage {stage}: one setting alone was searched, and all goes with it."
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
        shares, by_chance = _shares(copy, values), _by_chance(copy, values, shuffles)
        parts = tuple(Part(name, shares[name], by_chance[name]) for name in study.space)
        return Importance(stage, len(completed), parts, shuffles)


def _by_chance(study: optuna.Study, values: Sequence[float], shuffles: int) -> dict[str, tuple[float, float]]:
    rng = random.Random(0)  # noqa: S311 - shuffles, no secret
    found = [_shares(study, rng.sample(values, len(values))) for _ in range(shuffles)]
    cuts = {name: statistics.quantiles([one[name] for one in found], n=40, method="inclusive") for name in found[0]}
    return {name: (of_one[0], of_one[-1]) for name, of_one in cuts.items()}


def _shares(study: optuna.Study, values: Sequence[float]) -> dict[str, float]:
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    # It takes lower targets for the better ones, and warns of it.
    return optuna.importance.get_param_importances(
        study, evaluator=evaluator, target=lambda trial: -values[trial.number]
    )


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
