"""A claimed slot in training: its history, what of it is recorded and kept, and how it ends."""

import math
from dataclasses import dataclass, field

from optuna.trial import TrialState

from coarsefine.search.storage.slots import Claim, Record
from coarsefine.search.training.arithmetic import arithmetic_name
from coarsefine.search.training.checkpoints import History
from coarsefine.search.training.objective import EpochReport


@dataclass(slots=True)
class SlotHistory:
    """One slot that a worker holds."""

    claim: Claim
    history: History = field(default_factory=lambda: History([], [], []))
    state: TrialState = TrialState.RUNNING
    reason: str | None = None
    saved: int = 0
    """Epochs that a checkpoint holds."""
    _recorded: int = 0

    def hear(self, report: EpochReport, last: int) -> None:
        """Note an epoch; one in which the slot failed has losses, but no value to be compared with others."""
        self.history.train_loss.append(_finite(report.train_loss))
        self.history.validation_loss.append(_finite(report.validation_loss))
        if report.failure is not None:
            self.end(TrialState.FAIL, report.failure)
            return
        self.history.values.append(report.value)
        if self.epoch == last:
            self.state = TrialState.COMPLETE

    def end(self, state: TrialState, reason: str) -> None:
        """Note that the slot ends here, and why."""
        self.state, self.reason = state, reason

    @property
    def epoch(self) -> int:
        """Return how many epochs the slot came through."""
        return len(self.history.values)

    @property
    def has_news(self) -> bool:
        """Tell whether something is not yet recorded."""
        return self.epoch > self._recorded or self.state.is_finished()

    def record(self) -> Record:
        """Return what is not yet recorded, and take it for recorded."""
        values = self.history.values
        steps = dict(enumerate(values[self._recorded :], self._recorded + 1))
        self._recorded = self.epoch
        attrs = {"train_loss": self.history.train_loss, "validation_loss": self.history.validation_loss}
        reason = {"reason": self.reason} if self.reason is not None else {}
        made = {"arithmetic": arithmetic_name()} if self.state.is_finished() else {}
        return Record(self.claim, steps, values[-1] if values else None, {**attrs, **reason, **made}, self.state)


def _finite(value: float) -> float | None:
    """Return the value, or None where JSON and a dashboard could not show it."""
    return value if math.isfinite(value) else None
