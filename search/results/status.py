"""The status of a campaign, read from its storage alone: what `run`, `status` and `best` print."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from optuna.trial import FrozenTrial, TrialState
from pydantic import Field, PlainSerializer

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.json_form import JsonForm, PointField, SpaceField
from coarsefine.search.campaign.metric import ACCURACY, Metric
from coarsefine.search.campaign.sections import AnyStage
from coarsefine.search.campaign.winner import Estimate, Verdict
from coarsefine.search.errors import NothingCompleted
from coarsefine.search.results.commands import to_continue
from coarsefine.search.results.final_result import FinalResult, read_final, read_trainings
from coarsefine.search.results.final_runs import FinalRuns, read_final_runs
from coarsefine.search.results.other_programs import notes_on, notes_with_remedies
from coarsefine.search.results.sources import SourceVersion, sources_of
from coarsefine.search.results.study import (
    Study,
    campaign_of,
    metrics_by_epoch,
    point_of,
    read_studies,
    remedy,
    value_of,
    verdict_of,
)
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.optuna_storage import Storage

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
_BEST = 3


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
        return 2 * self.failed >= self.trials


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

    confirmed: Annotated[Estimate | None, Field(description="its mean on fresh seeds")]
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
    sources: Annotated[
        tuple[SourceVersion, ...],
        Field(
            description="versions of an objective's file; absent for the network", exclude_if=lambda found: not found
        ),
    ] = ()
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

    def best(self) -> BestTrials:
        """Return the best trials of each stage, and the winner."""
        stages = tuple(BestOfStage(stage.name, stage.study, stage.best) for stage in self.stages)
        return BestTrials(self.campaign, stages, self.winner, self.verdict, self.metric, self.final_runs)


def read_status(storage: Storage, name: str | None) -> Status:
    """Return the status of a campaign; without a name, of the only one in the storage.

    Raises `UsageError` if the storage does not hold that campaign.
    """
    name, studies = read_studies(storage, name)
    notes = notes_with_remedies(storage, campaign_of(studies, extra="ignore"), studies)
    return replace(status_of(storage, name, studies), notes=tuple(notes))


def status_of(storage: Storage, name: str, studies: Mapping[str, Study]) -> Status:
    """Return the status of a campaign with at least one study.

    Raises `CampaignError` if the studies do not hold a campaign.
    """
    campaign = campaign_of(studies, extra="ignore")
    stages = tuple(_stage(storage, f"{name}/{stage.name}", campaign, stage, studies) for stage in campaign.stages)
    final, verdict = read_final(studies), verdict_of(studies.values())
    winner = find_winner(studies, verdict)
    # The final training of an objective is a stage.
    ended = winner is not None and all(stage.finished and stage.completed for stage in stages)
    searched = not campaign.of_network and ended
    return Status(
        campaign=name,
        storage=storage.location.shown,
        state="done" if final is not None or searched else _state(stages),
        seconds=_seconds(studies, final),
        stages=stages,
        winner=winner,
        verdict=verdict,
        final=final,
        trainings=read_trainings(studies),
        sources=sources_of(studies.values()),
        final_runs=read_final_runs(studies, campaign.final.epochs) if campaign.final else None,
        metric=campaign.metric,
        notes=tuple(notes_on(storage, campaign, studies)),
        logs=logs if (logs := logs_folder(storage.location, name)).is_dir() else None,
    )


def logs_folder(location: Location, campaign: str) -> Path:
    """Return the folder for the logs of a campaign's workers on this machine."""
    return location.output_folder("logs") / campaign


def find_winner(studies: Mapping[str, Study], verdict: Verdict | None) -> Winner | None:
    """Return the winner according to the verdict; without a verdict, the best trial of all stages so far.

    Of equal values, the one of the earlier stage wins, then the one with the lower number. Returns None if no trial has
    completed, or if every finalist failed on some seed.
    """
    searched = [study for study in studies.values() if study.is_search]
    completed = sum(study.count(TrialState.COMPLETE) for study in searched)
    if verdict is not None:
        chosen = verdict.winner
        if chosen is None:
            return None
        study = studies.get(chosen.study)  # None if another program has deleted it
        trial = study.trial(chosen.number) if study is not None else None
        return _winner(study, trial, completed, chosen.confirmed) if study is not None and trial is not None else None
    ranked = [(study, trial) for study in searched for trial in study.best(1)]
    if not ranked:
        return None
    study, trial = min(ranked, key=lambda pair: pair[0].direction.key(value_of(pair[1])))  # the first of equals
    return _winner(study, trial, completed, None)


def require_winner(campaign: Campaign, studies: Mapping[str, Study], location: Location) -> Winner:
    """Return the winner of stages that have ended; raise `NothingCompleted` if there is none."""
    verdict = verdict_of(studies.values())
    winner = find_winner(studies, verdict)
    if winner is not None:
        return winner
    if verdict is not None:
        advice = (
            "Lower the upper bound of eta or the number of [confirm] seeds, then start the campaign under another name."
            if campaign.of_network
            else to_continue(campaign.name, location)
        )
        raise NothingCompleted(f"{verdict.summary} {advice}")
    failures = "; ".join(f"{study.name}: {study.failures}" for study in studies.values())
    raise NothingCompleted(
        f"No trial of {campaign.name} completed ({failures}). {remedy([*studies.values()], location)}"
    )


def _winner(study: Study, trial: FrozenTrial, completed: int, confirmed: Estimate | None) -> Winner:
    found = Trial.of(trial)
    own = (found.number, found.point, found.value, found.seed)
    return Winner(study.attrs["stage"], *own, confirmed, study.name, completed)


def _stage(
    storage: Storage, name: str, campaign: Campaign, planned: AnyStage, studies: Mapping[str, Study]
) -> StageStatus:
    """Return a stage as its study stands; `name` is that of the study in the storage, whatever its settings say."""
    study = studies.get(name, Study(0, name, {}, ()))
    is_open = name in studies
    counts = {
        "completed": study.count(TrialState.COMPLETE),
        "pruned": study.count(TrialState.PRUNED),
        "diverged": study.diverged,
        "failed": study.failed,
        "running": storage.queries.count_training(study.id) if study.count(TrialState.RUNNING) else 0,
    }
    trials = study.planned if is_open else planned.trials
    return StageStatus(
        name=planned.name,
        study=name,
        trials=trials,
        **counts,
        waiting=trials - sum(counts.values()),
        space=study.space if is_open else campaign.planned_space(planned),
        parent=study.attrs.get("parent"),
        best=tuple(Trial.of(trial) for trial in study.best(_BEST)) if study.is_search else (),
        failure=study.failure,
        attrs=study.attrs,
    )


def _state(stages: tuple[StageStatus, ...]) -> State:
    if any(stage.running for stage in stages):
        return "running"
    has_failed = any(not stage.completed and not stage.waiting for stage in stages)
    return "failed" if has_failed else "interrupted"


def _seconds(studies: Mapping[str, Study], final: FinalResult | None) -> float:
    # Optuna's times are local and without a zone, as `timestamp` expects them.
    trials = [trial for study in studies.values() for trial in study.trials]
    starts = [trial.datetime_start.timestamp() for trial in trials if trial.datetime_start]
    ends = [trial.datetime_complete.timestamp() for trial in trials if trial.datetime_complete]
    if final:
        ends.append(datetime.fromisoformat(final.ended).timestamp())
    return max(ends) - min(starts) if starts and ends else 0.0
