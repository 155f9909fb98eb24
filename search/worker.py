"""One worker's life: claim a stack of slots, train it, record every epoch, until the stage has none left.

Where a stage halves, stacks stop at each rung and are parked until their cohort's rung is decided; what survives is
put together into wide stacks again. Where another worker left a slot amid its training, its checkpoint is gone on from.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from optuna.trial import TrialState
from threadpoolctl import threadpool_limits

from search.checkpoints import Checkpoint, Checkpoints, History
from search.errors import Interrupted, StorageError
from search.halving import Halving, cohort_of, survivors
from search.objective import EpochReport, Objective, Stack
from search.slot import Claim, Record, Slot
from search.storage import Storage

_FLUSH_SECONDS = 0.25
"""Epochs shorter than this are recorded several at a time."""
_SAVE_SECONDS = 0.5
"""Between checkpoints: what a kill may cost beside the epoch it interrupts."""
_LEAST_SAVES_APART = 20
"""And how many times as long as it takes to write them: a slow disk may cost a kill's time, not everyone's."""
_POLL_SECONDS = 0.1
"""Between looks at whether a rung is decided."""


@dataclass(slots=True)
class _Lane:
    """A claimed slot in training, with its history, some of it not yet recorded."""

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
        return Record(self.claim, steps, values[-1] if values else None, {**attrs, **reason}, self.state)


@dataclass(slots=True)
class Worker:
    """Trains the slots of one study with one BLAS thread."""

    storage: Storage
    study_id: int
    objective: Objective
    trials: int
    """Slots of the whole study."""
    stack: int
    """Most slots that train together."""
    workers: int
    """How many are thought to share the study."""
    halving: Halving
    checkpoints: Checkpoints
    stop: Callable[[], bool]
    """Asked after each epoch: whether to give the slots back and leave."""
    claimed: Callable[[list[int]], None]
    """Hears the numbers of the slots that were claimed."""
    resumed: Callable[[list[int], int], None]
    """Hears the numbers of those that go on after an epoch."""
    recorded: Callable[[Sequence[Record]], None]
    """Hears what was recorded."""
    _lanes: dict[int, _Lane] = field(default_factory=dict)
    """The slots this worker holds, by number."""
    _parked: list[Stack] = field(default_factory=list)
    """Stacks at a rung that is not decided."""
    _ready: list[Stack] = field(default_factory=list)
    """Stacks that may go on, that in training among them."""
    _flushed: float = field(default_factory=time.monotonic)
    _next_save: float = field(default_factory=lambda: time.monotonic() + _SAVE_SECONDS)

    def work(self) -> None:
        """Train stacks until no slot can be claimed.

        Raises `Interrupted` when asked to stop, and `StorageError`; either way unfinished slots can be claimed again.
        """
        with threadpool_limits(1), self._renewing():
            try:
                while (stack := self._next()) is not None:
                    self._train(stack)
            except Interrupted:
                self._save()
                raise
            finally:
                self.storage.release([lane.claim for lane in self._lanes.values()])
                self._lanes, self._parked, self._ready = {}, [], []

    @contextmanager
    def _renewing(self) -> Iterator[None]:
        """Renew the leases from a thread of its own, since an epoch may take longer than one."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(self.storage.lease_seconds / 4):
                with suppress(StorageError):  # the worker meets it too, when it records
                    self.storage.renew()

        thread = threading.Thread(target=renew, name="renews leases", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _next(self) -> Stack | None:
        """Return the stack to train next: one that is filled by what is at hand, else new slots, else what there is."""
        while True:
            self._heed("Stopped before the next stack.")
            self._decide_rungs()
            group = self._widest_group()
            if sum(len(stack.numbers) for stack in group) >= self.stack:
                return self._joined(group)
            if claims := self.storage.claim(self.study_id, self._width()):
                if begun := self._begin(claims):
                    return begun
            elif group:
                return self._joined(group)
            elif not self._parked:
                return None
            else:
                time.sleep(_POLL_SECONDS)

    def _begin(self, claims: Sequence[Claim]) -> Stack | None:
        """Make stacks of slots, each from where its last worker left it; return the one that has come farthest."""
        self._lanes.update({claim.slot.number: _Lane(claim) for claim in claims})
        self.claimed([claim.slot.number for claim in claims])
        kept = {claim.slot: self.checkpoints.load(claim.slot) for claim in claims}
        groups: dict[int, list[Slot]] = {}
        for slot, checkpoint in kept.items():
            groups.setdefault(checkpoint.epoch if checkpoint else 0, []).append(slot)
        if fresh := groups.pop(0, None):
            self._ready.append(self.objective.start(fresh))
        for epoch, slots in groups.items():
            self._resume(epoch, {slot: checkpoint for slot in slots if (checkpoint := kept[slot])})
        numbers = {claim.slot.number for claim in claims}
        begun = [stack for stack in self._ready if numbers & set(stack.numbers)]
        return max(begun, key=lambda stack: stack.epoch, default=None)

    def _resume(self, epoch: int, kept: Mapping[Slot, Checkpoint]) -> None:
        """Go on with slots after an epoch. What they did before is recorded at once, for others may wait for it."""
        stack = self.objective.resume(list(kept), epoch, [checkpoint.state for checkpoint in kept.values()])
        for slot, checkpoint in kept.items():
            lane = self._lanes[slot.number]
            lane.history, lane.saved = checkpoint.history, epoch
        (self._parked if epoch in self.halving.rungs else self._ready).append(stack)
        self.resumed(stack.numbers, epoch)
        self._flush_if_due(0)

    def _width(self) -> int:
        """Return an even share of the stage, for each worker as many: stacks of 10, 10 and 10 before 12, 12 and 6."""
        rounds = math.ceil(self.trials / self.stack / self.workers)
        return math.ceil(self.trials / (rounds * self.workers))

    def _train(self, stack: Stack) -> None:
        """Train a stack to its next rung, or to the end."""
        stop = self.halving.next_stop(stack.epoch, self.objective.epochs)
        while stack.numbers and stack.epoch < stop:
            for report in stack.run_epoch():
                self._lanes[report.number].hear(report, self.objective.epochs)
            over = stack.epoch == stop or not stack.numbers
            at_once = over or any(lane.claim.deaths for lane in self._lanes.values())
            self._flush_if_due(0 if at_once else _FLUSH_SECONDS)
            self._save_if_due()
            if self._lanes:
                self._heed("Stopped after an epoch.")
        self._ready = [ready for ready in self._ready if ready is not stack]
        if stack.numbers:
            self._parked.append(stack)

    def _heed(self, told: str) -> None:
        if self.stop():
            raise Interrupted(told)

    def _decide_rungs(self) -> None:
        """Prune the losers of each parked stack whose whole cohort has come to its rung."""
        undecided = []
        for stack in self._parked:
            values = self.storage.values_after(self.study_id, stack.epoch)
            cohorts = {cohort_of(number, self.trials) for number in stack.numbers}
            if not all(number in values for cohort in cohorts for number in cohort):
                undecided.append(stack)
                continue
            for cohort in cohorts:
                self._prune(stack, {number: values[number] for number in cohort})
            self._ready.append(stack)
        self._parked = undecided
        self._flush_if_due(0)

    def _prune(self, stack: Stack, values: dict[int, float]) -> None:
        kept = self.halving.kept(len(values), stack.epoch)
        losers = values.keys() - survivors(values, kept)
        reason = f"pruned after epoch {stack.epoch}: not among the {kept} best of {len(values)}"
        for number in losers & set(stack.numbers):
            self._lanes[number].end(TrialState.PRUNED, reason)

    def _widest_group(self) -> list[Stack]:
        """Return the stacks that have come equally far, of the epoch that has most slots."""
        groups: dict[int, list[Stack]] = {}
        for stack in self._ready:
            groups.setdefault(stack.epoch, []).append(stack)
        return max(groups.values(), key=lambda group: sum(len(stack.numbers) for stack in group), default=[])

    def _joined(self, group: list[Stack]) -> Stack:
        """Put as many stacks together as train together well."""
        first, *others = group
        for other in others:
            if len(first.numbers) + len(other.numbers) <= self.stack:
                first.join(other)
                self._ready.remove(other)
        return first

    def _flush_if_due(self, seconds: float) -> None:
        """Record what slots did since the last time, if that is long enough ago, and let go of those ended or lost."""
        lanes = [lane for lane in self._lanes.values() if lane.has_news]
        if not lanes or time.monotonic() < self._flushed + seconds:
            return
        self._flushed = time.monotonic()
        records = [lane.record() for lane in lanes]
        lost = self.storage.record(records, [lane.claim for lane in self._lanes.values()])
        ended = {record.claim.slot.number for record in records if record.state.is_finished()}
        gone = ended | {claim.slot.number for claim in lost}
        self.checkpoints.forget(number for number in ended if self._lanes[number].saved)
        for number in gone:
            del self._lanes[number]
        for stack in (*self._parked, *self._ready):
            stack.drop(gone & set(stack.numbers))
        self._parked = [stack for stack in self._parked if stack.numbers]
        self._ready = [stack for stack in self._ready if stack.numbers]
        self.recorded(records)

    def _save_if_due(self) -> None:
        started = time.monotonic()
        if started >= self._next_save:
            self._save()
            took = time.monotonic() - started
            self._next_save = started + max(_SAVE_SECONDS, _LEAST_SAVES_APART * took)

    def _save(self) -> None:
        """Write a checkpoint of each slot that went on since its last."""
        for stack in (*self._parked, *self._ready):
            for number in stack.numbers:
                lane = self._lanes[number]
                if lane.saved < lane.epoch:
                    self.checkpoints.save(lane.claim.slot, Checkpoint(lane.history, stack.state_of(number)))
                    lane.saved = lane.epoch


def _finite(value: float) -> float | None:
    """Return the value, or None where JSON and a dashboard could not show it."""
    return value if math.isfinite(value) else None
