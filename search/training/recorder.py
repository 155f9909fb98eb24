"""What a worker did with its claimed slots: recorded in the storage, and checkpointed on this machine's disk."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import TrialState

from coarsefine.model.arithmetic import arithmetic_name
from coarsefine.search.campaign.json_form import finite_or_none
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.slots import Claim, Record
from coarsefine.search.storage.tables import VERSION_CHANGES
from coarsefine.search.training.checkpoints import Checkpoint, Checkpoints, History
from coarsefine.search.training.objective import EpochReport
from coarsefine.search.training.scheduler import Scheduler

_SAVE_SECONDS = 0.25
"""Shortest time between checkpoints. A kill costs about this much, plus the interrupted epoch."""
_SAVE_FACTOR = 20
"""The least time between checkpoints, as a multiple of the time to write them, so that a slow disk slows nobody."""


@dataclass(slots=True)
class HeldSlot:
    """A claimed slot: its epochs so far, how it ended, and how much of this is recorded and checkpointed."""

    claim: Claim
    history: History = field(default_factory=lambda: History([], [], []))
    state: TrialState = TrialState.RUNNING
    reason: str | None = None
    cause: str | None = None
    """Equal for failures of user code that have the same cause; None for others."""
    final: float | None = None
    """The value with which the trial ended, if it is not that of its last epoch."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """What user code stores with the trial."""
    saved: int = 0
    """Epochs in the newest checkpoint."""
    _recorded: int = 0

    def add(self, report: EpochReport, epochs: int) -> None:
        """Add an epoch of `epochs`. An epoch in which the slot failed has losses, but no value to compare."""
        self.attrs = {**self.attrs, **report.attrs}
        if report.pruned is not None:
            self.end(TrialState.PRUNED, report.pruned)
            return
        if report.last and self.history.values:
            self.final, self.state = report.value, TrialState.COMPLETE  # of no epoch
            return
        self.history.train_loss.append(finite_or_none(report.train_loss))
        self.history.validation_loss.append(finite_or_none(report.validation_loss))
        if report.failure is not None:
            self.end(TrialState.FAIL, report.failure)
            self.cause = report.cause
            return
        self.history.add_metrics(report.metrics)
        self.history.values.append(report.value)
        self.final = report.final
        if report.last or self.epoch == epochs:
            self.state = TrialState.COMPLETE

    def end(self, state: TrialState, reason: str) -> None:
        """End the slot before its last epoch."""
        self.state, self.reason = state, reason

    @property
    def epoch(self) -> int:
        """Return how many epochs the slot completed."""
        return len(self.history.values)

    @property
    def has_unrecorded(self) -> bool:
        """Return whether something is not recorded yet."""
        return self.epoch > self._recorded or self.state.is_finished()

    def record(self, worker: str, source: str | None = None, version_changes: int = 0) -> Record:
        """Return what the worker of this name has not recorded yet, and count it as recorded.

        `source` is the digest of the user's code that it has loaded, `version_changes` as in `Recorder`.
        """
        values = self.history.values
        steps = dict(enumerate(values[self._recorded :], self._recorded + 1))
        self._recorded = self.epoch
        attrs = {**self.attrs, "train_loss": self.history.train_loss, "validation_loss": self.history.validation_loss}
        if self.history.metrics:
            attrs["metrics"] = self.history.metrics
        reason = {"reason": self.reason} if self.reason is not None else {}
        last = self.final if self.final is not None else values[-1] if values else None
        made: dict[str, Any] = {"arithmetic": arithmetic_name(), "worker": worker} if self.state.is_finished() else {}
        if source is not None and self.state.is_finished():
            made["source"] = source
        if version_changes and self.state.is_finished():
            made[VERSION_CHANGES] = version_changes
        return Record(self.claim, steps, last, {**attrs, **reason, **made}, self.state)


@dataclass(slots=True)
class Recorder:
    """Holds a worker's claimed slots, records what they did, checkpoints them, and releases them."""

    storage: Storage
    checkpoints: Checkpoints
    scheduler: Scheduler
    """Holds the stacks of the same slots; slots that ended or were lost are dropped from them."""
    on_recorded: Callable[[Sequence[Record]], None]
    source: str | None = None
    """The digest of the user's code, which is recorded with each trial that ends; None for the network."""
    version_changes: int = 0
    """How many changes of versions the study had when this worker came, which is recorded, too, unless it is none."""
    slots: dict[int, HeldSlot] = field(default_factory=dict)
    """The held slots, by number."""
    _last_flush: float = field(default_factory=time.monotonic)
    _next_save: float = field(default_factory=lambda: time.monotonic() + _SAVE_SECONDS)

    def hold(self, claims: Iterable[Claim]) -> None:
        """Take in claimed slots, before their first epoch."""
        self.slots |= {claim.slot.number: HeldSlot(claim) for claim in claims}

    def claims(self, numbers: Iterable[int]) -> list[Claim]:
        """Return the claims on slots."""
        return [self.slots[number].claim for number in numbers]

    def flush(self, min_seconds: float = 0.0) -> None:
        """Record what slots did, unless the last record is less than `min_seconds` old; drop those ended or lost."""
        news = [held for held in self.slots.values() if held.has_unrecorded]
        if not news or time.monotonic() < self._last_flush + min_seconds:
            return
        self._last_flush = time.monotonic()
        records = [held.record(self.storage.owner.name, self.source, self.version_changes) for held in news]
        lost = {claim.slot.number for claim in self.storage.queue.record(records, self.claims(self.slots))}
        kept = [record for record in records if record.claim.slot.number not in lost]
        ended = {record.claim.slot.number for record in kept if record.state.is_finished()}
        self.checkpoints.forget(number for number in ended if self.slots[number].saved and not self._keeps(number))
        self._drop(ended | lost)
        if kept:
            self.on_recorded(kept)

    def save_if_due(self) -> None:
        """Save checkpoints if the last ones are old enough."""
        started = time.monotonic()
        if started >= self._next_save or self.checkpoints.of_user_code:
            self.save()
            took = time.monotonic() - started
            self._next_save = started + max(_SAVE_SECONDS, _SAVE_FACTOR * took)

    def save(self) -> None:
        """Save a checkpoint of each slot that was trained since its last one, and whose lease still holds."""
        self.flush()
        for stack in self.scheduler.stacks:
            for number in stack.numbers:
                held = self.slots[number]
                state = stack.state_of(number) if held.saved < held.epoch else None
                if state is not None and self.checkpoints.save(held.claim.slot, Checkpoint(held.history, state)):
                    held.saved = held.epoch

    def give_up(self, numbers: Collection[int], cause: str) -> None:
        """Give back slots whose processes were killed, or whose training failed unexpectedly, with epochs recorded."""
        self.flush()
        held = [number for number in numbers if number in self.slots]
        claims = self.claims(held)
        self._drop(set(held))
        failed = self.storage.queue.give_up(claims, cause)
        self.on_recorded([Record(claim, {}, None, {}, TrialState.FAIL) for claim in failed])

    def release(self) -> None:
        """Release all held slots, so that any worker can claim them again."""
        claims = self.claims(self.slots)
        self._drop(set(self.slots))
        self.storage.queue.release(claims)

    def _keeps(self, number: int) -> bool:
        return self.checkpoints.of_user_code and self.slots[number].state is TrialState.FAIL

    def _drop(self, numbers: Collection[int]) -> None:
        self.scheduler.drop(set(numbers))
        for number in numbers:
            del self.slots[number]
