"""How a campaign stands, read from its storage alone: what `run`, `status` and `best` print."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from model import Report
from search.campaign import CONFIRM
from search.errors import UsageError
from search.space import Space
from search.storage import Storage
from search.study import Study, campaign_names, find_studies, point_of, value_of, verdict_of
from search.winner import Finalist, Verdict

State = Literal["running", "interrupted", "failed", "done"]
_BEST = 3


@dataclass(frozen=True, slots=True)
class Trial:
    """A completed trial."""

    number: int
    eta: float
    lam: float
    value: float
    seed: int

    @classmethod
    def of(cls, trial: FrozenTrial) -> "Trial":
        """Read it from Optuna's."""
        point = point_of(trial)
        return cls(trial.number, point.eta, point.lam, value_of(trial), trial.user_attrs["seed"])

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "number": self.number,
            "eta": self.eta,
            "lambda": self.lam,
            "value": self.value,
            "seed": self.seed,
        }


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
class Curves:
    """What became of the final training, epoch by epoch: losses are mean cross-entropies, accuracies fractions."""

    train_loss: tuple[float, ...]
    """Mean over the epoch's mini-batches, each before its step."""
    validation_loss: tuple[float, ...]
    validation_accuracy: tuple[float, ...]

    @classmethod
    def of(cls, reports: Sequence[Report]) -> "Curves":
        """Collect them from the epochs' reports."""
        return cls(
            tuple(report.train_loss for report in reports),
            tuple(report.validation.loss for report in reports),
            tuple(report.validation.accuracy for report in reports),
        )


@dataclass(frozen=True, slots=True)
class Final:
    """The final training of the winner. Accuracies are fractions; test images were used this once."""

    epochs: int
    train_accuracy: float
    validation_accuracy: float
    test_accuracy: float
    seconds: float
    weights: str
    """Where the trained network was saved."""
    repeated: bool
    """Whether its first epochs repeated the winner's recorded ones, to the bit."""
    ended: str
    """When, in UTC."""
    curves: Curves | None = None
    """None where an earlier Coarsefine trained it, which kept none."""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, without the curves."""
        told = self.as_attr()
        del told["curves"]
        return told

    def as_attr(self) -> dict[str, Any]:
        """Return the form of the study's attribute."""
        return asdict(self)

    @classmethod
    def from_attr(cls, attr: dict[str, Any]) -> "Final":
        """Read what `as_attr` wrote."""
        curves = attr.get("curves")
        kept = Curves(**{name: tuple(values) for name, values in curves.items()}) if curves else None
        return cls(**{**attr, "curves": kept})


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
    final: Final | None

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
        }


def read_status(storage: Storage, name: str | None) -> Status:
    """Return how a campaign stands; the only one in the storage where none is named.

    Raises `UsageError` for a campaign that the storage does not hold.
    """
    name, studies = read_studies(storage, name)
    return status_of(name, storage.location.shown, studies, storage.live)


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


def status_of(name: str, storage: str, studies: Mapping[str, Study], live: Callable[[int], int]) -> Status:
    """Return how a campaign stands, of which at least one study is known; `live` counts what is in training now."""
    config = next(iter(studies.values())).attrs["config"]
    stages = tuple(_stage(name, planned, studies, live) for planned in planned_stages(config))
    final, verdict = read_final(studies), verdict_of(studies.values())
    return Status(
        campaign=name,
        storage=storage,
        state=_state(stages, final),
        seconds=_seconds(studies, final),
        stages=stages,
        winner=find_winner(studies, verdict),
        verdict=verdict,
        final=final,
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


def read_final(studies: Mapping[str, Study]) -> Final | None:
    """Return the final training, recorded with the study of the last stage."""
    found = [study.attrs["final"] for study in studies.values() if "final" in study.attrs]
    return Final.from_attr(found[0]) if found else None


def planned_stages(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return name, trials, ranges and epochs of each stage that a campaign's configuration plans."""
    confirm = config.get("confirm")
    if not confirm:
        return list(config["stage"])
    again = {"name": CONFIRM, "trials": confirm["top"] * confirm["seeds"], "eta": None, "epochs": confirm["epochs"]}
    return [*config["stage"], again]


def _stage(
    campaign: str, planned: dict[str, Any], studies: Mapping[str, Study], live: Callable[[int], int]
) -> StageStatus:
    study = studies.get(f"{campaign}/{planned['name']}")
    if study is None:
        space = Space.from_dict(planned) if planned["eta"] else None
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
        running=live(study.id) if study.count(TrialState.RUNNING) else 0,
        space=study.space,
        parent=study.attrs["parent"],
        best=() if study.is_confirm else tuple(Trial.of(trial) for trial in study.best(_BEST)),
        attrs=study.attrs,
    )


def _state(stages: tuple[StageStatus, ...], final: Final | None) -> State:
    if final is not None:
        return "done"
    if any(stage.running for stage in stages):
        return "running"
    ended_empty = any(not stage.completed and not stage.waiting for stage in stages)
    return "failed" if ended_empty else "interrupted"


def _seconds(studies: Mapping[str, Study], final: Final | None) -> float:
    # Optuna hands out local times without a zone, which is how `timestamp` reads them.
    trials = [trial for study in studies.values() for trial in study.trials]
    starts = [trial.datetime_start.timestamp() for trial in trials if trial.datetime_start]
    ends = [trial.datetime_complete.timestamp() for trial in trials if trial.datetime_complete]
    if final:
        ends.append(datetime.fromisoformat(final.ended).timestamp())
    return max(ends) - min(starts) if starts and ends else 0.0
