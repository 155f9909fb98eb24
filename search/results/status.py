"""How a campaign stands, read from its storage alone: what `run`, `status` and `best` print."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.campaign.metric import ACCURACY, Metric, metric_for
from coarsefine.search.campaign.network_settings import NETWORK_SETTINGS
from coarsefine.search.campaign.schema import CONFIRM
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.campaign.winner import Finalist, Verdict
from coarsefine.search.errors import CampaignError, UsageError
from coarsefine.search.results.final_result import FinalResult
from coarsefine.search.results.study import (
    Study,
    campaign_names,
    find_studies,
    point_of,
    value_of,
    verdict_of,
)
from coarsefine.search.storage.optuna_storage import Storage

State = Literal["running", "interrupted", "failed", "done"]
_BEST = 3
TRAINING = "training "
"""Begins the names of attributes that hold final trainings by `train`."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A completed trial."""

    number: int
    point: Point
    value: float
    seed: int

    @classmethod
    def of(cls, trial: FrozenTrial) -> "Trial":
        """Read it from Optuna's."""
        return cls(trial.number, point_of(trial), value_of(trial), trial.user_attrs["seed"])

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"number": self.number, "params": self.point.as_dict(), "value": self.value, "seed": self.seed}


@dataclass(frozen=True, slots=True)
class StageStatus:
    """One stage: planned, or as its study stands."""

    name: str
    study: str
    trials: int
    completed: int
    pruned: int
    """Trials that ended early, because others of their cohort were better."""
    diverged: int
    """Trials that ended with a stated reason in the numbers themselves."""
    failed: int
    """Trials that ended without a value for another reason."""
    running: int
    space: Space | None
    """The ranges; unknown until a narrowed stage opens."""
    parent: str | None
    """Name of the parent's study."""
    best: tuple[Trial, ...]
    attrs: dict[str, Any]
    """What else the study says of itself: where its ranges come from, what pressed against its bounds."""

    @property
    def waiting(self) -> int:
        """Return how many trials are still to be trained."""
        ended = self.completed + self.pruned + self.diverged + self.failed
        return self.trials - ended - self.running

    @property
    def is_over(self) -> bool:
        """Tell whether every trial has ended."""
        return not self.waiting and not self.running

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        counts = ("name", "study", "trials", "completed", "pruned", "diverged", "failed", "waiting", "running")
        return {
            **{key: getattr(self, key) for key in counts},
            "space": self.space.as_dict() if self.space else None,
            "parent": self.parent,
            "best": [trial.as_dict() for trial in self.best],
        }


@dataclass(frozen=True, slots=True)
class Winner:
    """The best trial of all stages, and how many completed trials it was chosen from."""

    stage: str
    study: str
    trial: Trial
    chosen_from: int
    confirmed: Finalist | None = None
    """What it came to when it was trained again on fresh seeds."""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        confirmed = self.confirmed.confirmed if self.confirmed else None
        return {"stage": self.stage, **self.trial.as_dict(), "confirmed": confirmed.as_dict() if confirmed else None}


@dataclass(frozen=True, slots=True)
class Status:
    """A whole campaign."""

    campaign: str
    storage: str
    state: State
    seconds: float
    """From the start of the first trial to the end of the last, or of the final training; pauses count."""
    stages: tuple[StageStatus, ...]
    winner: Winner | None
    verdict: Verdict | None
    """On the finalists, where the campaign has such, once all were trained again."""
    final: FinalResult | None
    trainings: tuple[FinalResult, ...]
    """Other final trainings of its trials, by `train`."""
    metric: Metric = ACCURACY
    """What the trials are judged by."""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "campaign": self.campaign,
            "storage": self.storage,
            "state": self.state,
            "seconds": round(self.seconds, 3),
            "stages": [stage.as_dict() for stage in self.stages],
            "winner": self.winner.as_dict() if self.winner else None,
            "confirm": self.verdict.as_dict() if self.verdict else None,
            "final": self.final.as_dict() if self.final else None,
            "trainings": [training.as_dict() for training in self.trainings],
        }


def read_status(storage: Storage, name: str | None) -> Status:
    """Return how a campaign stands; the only one in the storage where none is named.

    Raises `UsageError` for a campaign that the storage does not hold.
    """
    name, studies = read_studies(storage, name)
    return status_of(name, storage.location.shown, studies, storage.queries.count_training)


def read_studies(storage: Storage, name: str | None) -> tuple[str, dict[str, Study]]:
    """Return the name of a campaign and its studies, at least one; of the only campaign where none is named.

    Raises `UsageError` for a campaign that the storage does not hold.
    """
    known = campaign_names(storage)
    name = known[0] if name is None and len(known) == 1 else name
    studies = find_studies(storage, name) if name in known else {}
    if name is None or not studies:
        listed = ", ".join(known) or "none"
        asked = f"has no campaign '{name}'" if name is not None else "does not hold exactly one campaign"
        raise UsageError(f"{storage.location} {asked}: name one of those it has ({listed}).")
    return name, studies


def status_of(name: str, storage: str, studies: Mapping[str, Study], count_training: Callable[[int], int]) -> Status:
    """Return the state of a campaign with at least one study; `count_training` counts a study's trials in training."""
    config = next(iter(studies.values())).attrs["config"]
    stages = tuple(_stage(name, planned, studies, count_training) for planned in planned_stages(config))
    final, verdict = read_final(studies), verdict_of(studies.values())
    winner = find_winner(studies, verdict)
    # An objective has no final training.
    searched = config.get("objective") is not None and winner is not None and all(stage.is_over for stage in stages)
    return Status(
        campaign=name,
        storage=storage,
        state="done" if final is not None or searched else _state(stages),
        seconds=_seconds(studies, final),
        stages=stages,
        winner=winner,
        verdict=verdict,
        final=final,
        trainings=read_trainings(studies),
        metric=metric_for(config.get("objective")),
    )


def find_winner(studies: Mapping[str, Study], verdict: Verdict | None) -> Winner | None:
    """Return the winner by the verdict on the finalists; where there is none, the best trial of all stages so far.

    Of equal values, that of the earlier stage counts, then that of the lower number. None where no trial completed, or
    where no finalist held on every seed.
    """
    searched = [study for study in studies.values() if not study.is_confirm]
    completed = sum(study.count(TrialState.COMPLETE) for study in searched)
    if verdict is not None:
        return _confirmed(studies, verdict.winner, completed) if verdict.winner else None
    ranked = [(study, study.best(1)[0]) for study in searched if study.best(1)]
    if not ranked:
        return None
    study, trial = max(ranked, key=lambda pair: value_of(pair[1]))  # the first of equals
    return Winner(study.attrs["stage"], study.name, Trial.of(trial), completed)


def _confirmed(studies: Mapping[str, Study], finalist: Finalist, completed: int) -> Winner:
    study = studies[finalist.candidate.study]
    trial = Trial.of(study.trials[finalist.candidate.number])
    return Winner(study.attrs["stage"], study.name, trial, completed, finalist)


def read_final(studies: Mapping[str, Study]) -> FinalResult | None:
    """Return the final training, recorded with the study of the last stage."""
    found = [(study, study.attrs["final"]) for study in studies.values() if "final" in study.attrs]
    return _final_of(*found[0]) if found else None


def read_trainings(studies: Mapping[str, Study]) -> tuple[FinalResult, ...]:
    """Return the final trainings that were recorded by `train`, each with the study of its trial."""
    found = [
        _final_of(study, attr)
        for study in studies.values()
        for key, attr in study.attrs.items()
        if key.startswith(TRAINING)
    ]
    return tuple(sorted(found, key=lambda final: final.ended))


def training_key(final: FinalResult) -> str:
    """Return the name of the study's attribute that holds a training, which no other training has."""
    settings = (final.epochs, len(final.seeds), final.decay, final.on_validation)
    return f"{TRAINING}{final.export[:12]} {' '.join(map(str, settings))}"


def _final_of(study: Study, attr: Any) -> FinalResult:
    try:
        return FinalResult.from_attr(attr)
    except (KeyError, TypeError, AttributeError) as error:
        raise CampaignError(
            f"{study.name} has a final training as this Coarsefine does not record it ({error!r}): it is of another "
            "version. Use that, or start anew under another name or --storage."
        ) from error


def planned_stages(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return name, trials, ranges and epochs of each stage that a campaign's configuration plans."""
    stages = list(config["stage"])
    bounds: dict[str, dict[str, Any]] = {}
    for stage, before in zip(stages, [{"name": ""}, *stages], strict=False):
        inherited = bounds.get(stage["parent"] or before["name"], {})
        bounds[stage["name"]] = inherited | _ranges(stage)
    told = [{**stage, "space": None if stage["narrow"] else bounds[stage["name"]]} for stage in stages]
    if confirm := config.get("confirm"):
        trials = confirm["top"] * confirm["seeds"]
        told.append({"name": CONFIRM, "trials": trials, "space": None, "epochs": confirm["epochs"]})
    usual = (config.get("model") or config).get("epochs") or 1
    return [{**stage, "epochs": stage["epochs"] or usual} for stage in told]


def _ranges(stage: dict[str, Any]) -> dict[str, Any]:
    """Return the ranges that a stage's configuration gives."""
    return stage.get("space") or {name: stage[name] for name in NETWORK_SETTINGS if stage.get(name)}


def _stage(
    campaign: str, planned: dict[str, Any], studies: Mapping[str, Study], count_training: Callable[[int], int]
) -> StageStatus:
    study = studies.get(f"{campaign}/{planned['name']}")
    if study is None:
        space = Space.from_dict(planned["space"]) if planned["space"] else None
        name = f"{campaign}/{planned['name']}"
        return StageStatus(planned["name"], name, planned["trials"], 0, 0, 0, 0, 0, space, None, (), {})
    return StageStatus(
        name=planned["name"],
        study=study.name,
        trials=len(study.trials),
        completed=study.count(TrialState.COMPLETE),
        pruned=study.count(TrialState.PRUNED),
        diverged=study.diverged,
        failed=study.failed,
        running=count_training(study.id) if study.count(TrialState.RUNNING) else 0,
        space=study.space,
        parent=study.attrs["parent"],
        best=() if study.is_confirm else tuple(Trial.of(trial) for trial in study.best(_BEST)),
        attrs=study.attrs,
    )


def _state(stages: tuple[StageStatus, ...]) -> State:
    if any(stage.running for stage in stages):
        return "running"
    ended_empty = any(not stage.completed and not stage.waiting for stage in stages)
    return "failed" if ended_empty else "interrupted"


def _seconds(studies: Mapping[str, Study], final: FinalResult | None) -> float:
    # Optuna hands out local times without a zone, which is how `timestamp` reads them.
    trials = [trial for study in studies.values() for trial in study.trials]
    starts = [trial.datetime_start.timestamp() for trial in trials if trial.datetime_start]
    ends = [trial.datetime_complete.timestamp() for trial in trials if trial.datetime_complete]
    if final:
        ends.append(datetime.fromisoformat(final.ended).timestamp())
    return max(ends) - min(starts) if starts and ends else 0.0
