"""What the last stage of user code came to: the winner, trained again on several seeds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field

from coarsefine.search.campaign.estimate import Estimate
from coarsefine.search.campaign.json_form import JsonForm, PointField
from coarsefine.search.campaign.winner import TrialId
from coarsefine.search.results.study import Study, metrics_by_epoch, point_of, value_of


@dataclass(frozen=True)
class FinalRun(JsonForm):
    """One training of the winner."""

    number: int
    seed: int
    value: Annotated[float | None, Field(description="null if it failed")]
    metrics: Annotated[dict[str, float | None], Field(description="the further metrics, after the last epoch")]
    reason: Annotated[str | None, Field(description="why it failed")]

    @classmethod
    def of(cls, trial: FrozenTrial) -> Self:
        """Convert a trial of the last stage."""
        metrics = {name: by_epoch[-1] for name, by_epoch in metrics_by_epoch(trial).items()}
        value = value_of(trial) if trial.state is TrialState.COMPLETE else None
        return cls(trial.number, trial.user_attrs["seed"], value, metrics, trial.user_attrs.get("reason"))


@dataclass(frozen=True)
class FinalRuns(TrialId):
    """The trainings of the winner, which `study` and `number` name."""

    point: PointField
    epochs: int
    runs: tuple[FinalRun, ...]
    mean: Annotated[Estimate | None, Field(description="over the seeds; null for fewer than two values")]

    @property
    def values(self) -> list[float]:
        """Return the values of the trainings that did not fail."""
        return [run.value for run in self.runs if run.value is not None]

    @property
    def metrics(self) -> list[str]:
        """Return the names of the further metrics, in the order in which they first appear."""
        return list(dict.fromkeys(name for run in self.runs for name in run.metrics))

    @property
    def reasons(self) -> list[str]:
        """Return why trainings failed, each reason once."""
        return list(dict.fromkeys(run.reason for run in self.runs if run.value is None and run.reason))


def read_final_runs(studies: Mapping[str, Study], epochs: int) -> FinalRuns | None:
    """Return the trainings of the winner, of so many epochs; None until all of them have ended."""
    study = next((study for study in studies.values() if study.is_final), None)
    if study is None or not study.finished:
        return None
    runs = tuple(map(FinalRun.of, study.trials))
    values = np.array([run.value for run in runs if run.value is not None])
    mean = Estimate.of(values) if len(values) > 1 else None
    winner = study.attrs["winner"]
    return FinalRuns(winner["study"], winner["number"], point_of(study.trials[0]), epochs, runs, mean)
