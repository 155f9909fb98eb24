"""Slots, and what the lease queue and the workers exchange about them: claims, records and finished trials."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import TrialState

from coarsefine.search.campaign.space import Point

SET_BY_OTHERS = "another program set it to"
"""How the reason begins for which such a slot counts as failed."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A planned trial: its number in the stage, its point, and the seed of its initial weights."""

    number: int
    point: Point
    seed: int
    attempt: int = field(default=1, compare=False)
    """How often it has been claimed, this time included."""

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"number": self.number, "params": self.point.as_dict(), "seed": self.seed}


@dataclass(frozen=True, slots=True)
class Claim:
    """A slot under lease: the right to record it, until the lease runs out."""

    trial_id: int
    attempt: int
    slot: Slot
    deaths: int = 0
    """Workers that died with the slot, maybe because of it. Its epochs are recorded one by one, to know where."""


@dataclass(frozen=True, slots=True)
class Record:
    """The progress of a claimed slot since its last record."""

    claim: Claim
    steps: Mapping[int, float]
    """Validation accuracies of these epochs, by epoch."""
    value: float | None
    """The newest accuracy, of these or earlier epochs; the trial's value if it ends now."""
    attrs: Mapping[str, Any]
    """User attributes with the history so far."""
    state: TrialState
    """RUNNING, or how the trial ends: COMPLETE, PRUNED or FAIL."""


@dataclass(frozen=True, slots=True)
class FinishedTrial:
    """How a trial ended."""

    number: int
    point: Point
    state: TrialState
    """COMPLETE, PRUNED or FAIL."""
    value: float | None
    """The validation accuracy; the last one of a pruned trial, None for a failed one."""
    epochs: int
    """Epochs trained."""
    reason: str | None
    """Why the trial did not reach its last epoch."""

    @property
    def diverged(self) -> bool:
        """Return whether the trial failed because its numbers overflowed."""
        return has_diverged(self.state, self.reason)


def has_diverged(state: TrialState, reason: str | None) -> bool:
    """Return whether a trial in this state, recorded with this reason, failed because its numbers overflowed."""
    return state is TrialState.FAIL and (reason or "").startswith("diverged")  # a message of user code may have it, too


def end_mark(state: TrialState, value: float | None) -> dict[str, Any]:
    """Return the attribute that marks how Coarsefine ended a slot."""
    return {"state": state.name, "value": None if state is TrialState.FAIL else value}


def set_by_others(state: TrialState, value: float | None, mark: Any) -> str | None:
    """Return the reason for which a slot counts as failed, since another program set its state; None if none did.

    Through Optuna's API or its dashboard, it can end a slot with any state and value, or open one that we have ended.
    """
    if not state.is_finished():
        return None if mark is None else f"{SET_BY_OTHERS} {state.name} after its end"
    if mark == end_mark(state, value):
        return None
    given = f" with the value {value:.6g}" if value is not None else ""
    return f"{SET_BY_OTHERS} {state.name}{given}"
