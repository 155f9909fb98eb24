"""How a campaign stands, read from its storage alone: what `run`, `status` and `best` print."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL

from search.errors import UsageError
from search.storage import Storage
from search.study import Study, campaign_names, find_studies, point_of, value_of

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
        return {"number": self.number, "eta": self.eta, "lambda": self.lam, "value": self.value, "seed": self.seed}


@dataclass(frozen=True, slots=True)
class StageStatus:
    """One stage: planned, or as its study stands."""

    name: str
    study: str
    trials: int
    counts: dict[TrialState, int]
    live: int
    space: dict[str, list[float]] | None
    parent: str | None
    best: tuple[Trial, ...]
    attrs: dict[str, Any]

    @property
    def finished(self) -> int:
        """Return how many trials have ended."""
        return self.counts[TrialState.COMPLETE] + self.counts[TrialState.FAIL]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; `space` is null until the stage opens."""
        return {
            "name": self.name,
            "study": self.study,
            "trials": self.trials,
            "completed": self.counts[TrialState.COMPLETE],
            "diverged": sum("reason" in trial for trial in self.attrs.get("failures", ())),
            "failed": self.counts[TrialState.FAIL],
            "waiting": self.trials - self.finished - self.live,
            "running": self.live,
            "space": self.space,
            "parent": self.parent,
            "best": [trial.as_dict() for trial in self.best],
        }


@dataclass(frozen=True, slots=True)
class Winner:
    """The best trial of all stages."""

    stage: str
    trial: Trial
    completed: int
    """How many trials it was chosen from."""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"stage": self.stage, **self.trial.as_dict()}
