"""The status of a campaign in its JSON form: what `run`, `status` and `best` print."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from optuna.trial import FrozenTrial
from pydantic import Field, PlainSerializer

from coarsefine.search.campaign.estimate import Estimate
from coarsefine.search.campaign.json_form import JsonForm, PointField, SpaceField
from coarsefine.search.campaign.metric import ACCURACY, Metric
from coarsefine.search.campaign.winner import Verdict
from coarsefine.search.results.final_result import FinalResult
from coarsefine.search.results.final_runs import FinalRuns
from coarsefine.search.results.sources import SourceVersion, VersionChange
from coarsefine.search.results.study import (
    is_most,
    is_past_retry,
    metrics_by_epoch,
    point_of,
    value_of,
)

State = Literal["running", "interrupted", "failed", "done"]
Seconds = Annotated[float, PlainSerializer(lambda seconds: round(seconds, 3), return_type=float)]
_MetricField = Annotated[
    Metric,
    Field(
        description="what the trials are judged by; left out for the network, whose accuracies are maximized",
        exclude_if=lambda metric: metric == ACCURACY,
    ),
]
_FinalRuns = Annotated[
    FinalRuns | None,
    Field(exclude_if=lambda runs: runs is None, description="the winner's trainings, of user code"),
]
_Sources = Annotated[
    tuple[SourceVersion, ...],
    Field(description="versions of the user's code; absent for the network", exclude_if=lambda found: not found),
]
_VersionChanges = Annotated[
    tuple[VersionChange, ...],
    Field(description="accepted changes of package versions; absent if none", exclude_if=lambda found: not found),
]


@dataclass(frozen=True)
class Trial(JsonForm):
    """A completed trial; its value is an accuracy on the validation images, from 0 to 1, or what an objective gave."""

    number: int
    point: PointField
    value: float
    seed: int
    metrics: Annotated[dict[str, float | None], Field(exclude=True)] = field(default_factory=dict, kw_only=True)
    """The further metrics after the last epoch."""

    @classmethod
    def of(cls, trial: FrozenTrial) -> Self:
        """Convert a completed trial of Optuna."""
        metrics = {name: by_epoch[-1] for name, by_epoch in metrics_by_epoch(trial).items()}
        return cls(trial.number, point_of(trial), value_of(trial), trial.user_attrs["seed"], metrics=metrics)


@dataclass(frozen=True)
class StageId(JsonForm):
    """A stage and its study."""

    name: str
    study: str


@dataclass(frozen=True)
class TrialCounts(JsonForm):
    """How many trials a stage has, in all and in each state."""

    name: str
    trials: int
    completed: int
    pruned: Annotated[int, Field(description="ended early, because others of their cohort were better")]
    diverged: Annotated[int, Field(description="ended because their loss or weights overflowed")]
    failed: Annotated[int, Field(description="ended without a value for another reason")]
    waiting: int
    running: int

    @property
    def finished(self) -> bool:
        """Return whether every trial has ended."""
        return not self.waiting and not self.running

    @property
    def mostly_failed(self) -> bool:
        """Return whether at least half of its trials failed; those that diverged were trained."""
        return is_most(self.failed, self.trials)


@dataclass(frozen=True)
class BestOfStage(StageId):
    """The best trials of a stage."""

    best: tuple[Trial, ...]


@dataclass(frozen=True)
class StageStatus(TrialCounts, StageId):
    """A stage, planned or open."""

    space: Annotated[SpaceField | None, Field(description="the ranges; null until a narrowed stage opens")]
    parent: Annotated[str | None, Field(description="the parent's study; null until the stage opens")]
    best: tuple[Trial, ...]
    failure: Annotated[tuple[int, str] | None, Field(exclude=True)]
    """The number of a failed trial, and its reason."""
    attrs: Annotated[dict[str, Any], Field(exclude=True)]
    """All attributes of the study; empty until the stage opens."""


@dataclass(frozen=True)
class OfStage(JsonForm):
    """What belongs to a stage."""

    stage: str


@dataclass(frozen=True)
class Winner(Trial, OfStage):
    """The best trial of all stages, or the one chosen among the finalists once they were trained again."""

    confirmed: Annotated[Estimate | None, Field(description="its mean on new seeds")]
    study: Annotated[str, Field(exclude=True)]
    chosen_from: Annotated[int, Field(exclude=True)]
    """The number of completed trials in all stages."""


@dataclass(frozen=True)
class BestTrials(JsonForm):
    """The best trials of each stage, and the winner."""

    campaign: str
    stages: tuple[BestOfStage, ...]
    winner: Winner | None
    confirm: Verdict | None
    metric: _MetricField = ACCURACY
    final_runs: _FinalRuns = None
    sources: _Sources = ()


@dataclass(frozen=True)
class Status(JsonForm):
    """A whole campaign."""

    campaign: str
    storage: str
    state: State
    seconds: Annotated[
        Seconds, Field(description="from the start of the first trial to the end of the last, pauses included")
    ]
    stages: tuple[StageStatus, ...]
    winner: Winner | None
    verdict: Annotated[Verdict | None, Field(alias="confirm", description="null until the finalists are trained again")]
    final: FinalResult | None
    trainings: Annotated[tuple[FinalResult, ...], Field(description="other final trainings, by `train`")]
    sources: _Sources = ()
    version_changes: _VersionChanges = ()
    final_runs: _FinalRuns = None
    metric: _MetricField = ACCURACY
    notes: Annotated[tuple[str, ...], Field(exclude=True)] = ()
    """What other programs have deleted, changed or added, as sentences."""
    logs: Annotated[Path | None, Field(exclude=True)] = None
    """The folder of the workers' logs; None without one on this machine."""

    @property
    def failed(self) -> int:
        """Return how many trials failed, and did not diverge."""
        return sum(stage.failed for stage in self.stages)

    @property
    def has_stopped(self) -> bool:
        """Return whether nothing trains, and no trial of a stage has completed, but some failed: they end workers."""
        return self.state == "interrupted" and any(stage.failed and not stage.completed for stage in self.stages)

    @property
    def is_decided(self) -> bool:
        """Return whether the winner is final: every stage has ended, and in none have most of the trials failed.

        The final training chooses nothing, so its failures do not count.
        """
        stages = [stage for stage in self.stages if "winner" not in stage.attrs]
        return all(stage.finished and not stage.mostly_failed for stage in stages)

    @property
    def retriable(self) -> tuple[StageStatus, ...]:
        """Return the stages of which failed trials can be retried."""
        known = [stage.attrs for stage in self.stages]
        return tuple(stage for stage in self.stages if not is_past_retry(stage.attrs, known))

    def best(self) -> BestTrials:
        """Return the best trials of each stage, and the winner."""
        stages = tuple(BestOfStage(stage.name, stage.study, stage.best) for stage in self.stages)
        return BestTrials(self.campaign, stages, self.winner, self.verdict, self.metric, self.final_runs, self.sources)
