"""One worker's life: claim a stack of slots, train it, record every epoch, until the stage has none left."""

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from optuna.trial import TrialState
from threadpoolctl import threadpool_limits

from search.errors import Interrupted
from search.objective import EpochReport, Objective
from search.storage import Claim, Record, Storage


@dataclass(slots=True)
class _Lane:
    """A claimed slot in training, with its history."""

    claim: Claim
    train_loss: list[float | None] = field(default_factory=list)
    validation_loss: list[float | None] = field(default_factory=list)

    def record(self, report: EpochReport, last: int) -> Record:
        self.train_loss.append(_finite(report.train_loss))
        self.validation_loss.append(_finite(report.validation_loss))
        attrs = {"train_loss": self.train_loss, "validation_loss": self.validation_loss}
        if report.failure is not None:
            return Record(self.claim, report.epoch, report.value, {**attrs, "reason": report.failure}, TrialState.FAIL)
        state = TrialState.COMPLETE if report.epoch == last else TrialState.RUNNING
        return Record(self.claim, report.epoch, report.value, attrs, state)


@dataclass(frozen=True, slots=True)
class Worker:
    """Trains the slots of one study with one BLAS thread."""

    storage: Storage
    study_id: int
    objective: Objective
    stack: int
    """Most slots that train together."""
    stop: Callable[[], bool]
    """Asked after each epoch: whether to give the slots back and leave."""
    told: Callable[[list[Record]], None]
    """Hears every recorded epoch of a stack."""

    def work(self) -> None:
        """Train stacks until no slot can be claimed.

        Raises `Interrupted` when asked to stop, and `StorageError`; either way unfinished slots can be claimed again.
        """
        with threadpool_limits(1):
            while claims := self._claim():
                self._train(claims)

    def _claim(self) -> list[Claim]:
        if self.stop():
            raise Interrupted("Stopped before the next stack.")
        return self.storage.claim(self.study_id, self._width())

    def _width(self) -> int:
        """Return an even share of what waits: stacks of 10, 10 and 10 are faster than 12, 12 and 6."""
        waiting = self.storage.get_n_trials(self.study_id, TrialState.WAITING)
        return math.ceil(waiting / math.ceil(waiting / self.stack)) if waiting else self.stack

    def _train(self, claims: list[Claim]) -> None:
        lanes = [_Lane(claim) for claim in claims]
        held = {claim.trial_id: claim for claim in claims}
        try:
            with closing(self.objective([claim.slot for claim in claims])) as epochs:
                for reports in epochs:
                    self._record_epoch(lanes, held, reports)
                    if held and self.stop():
                        raise Interrupted("Stopped after an epoch.")
                    if not held:
                        break
        finally:
            self.storage.release(list(held.values()))

    def _record_epoch(self, lanes: list[_Lane], held: dict[int, Claim], reports: list[EpochReport]) -> None:
        records = [lanes[report.lane].record(report, self.objective.epochs) for report in reports]
        records = [record for record in records if record.claim.trial_id in held]
        lost = self.storage.record(records)
        ended = [record.claim for record in records if record.state.is_finished()]
        for claim in (*lost, *ended):
            held.pop(claim.trial_id, None)
        self.told([record for record in records if record.claim not in lost])


def _finite(value: float) -> float | None:
    """Return the value, or None where JSON and a dashboard could not show it."""
    return value if math.isfinite(value) else None
