"""One worker's life: claim a stack of slots, train it, record every epoch, until the stage has none left.

Where a stage halves, stacks stop at each rung and are parked until their cohort's rung is decided; what survives is
put together into wide stacks again.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from optuna.trial import TrialState
from threadpoolctl import threadpool_limits

from search.errors import Interrupted, StorageError
from search.halving import Halving, cohort_of, survivors
from search.objective import EpochReport, Objective, Stack
from search.slot import Claim, Record
from search.storage import Storage

_FLUSH_SECONDS = 0.25
"""Epochs shorter than this are recorded several at a time. A kill loses none the more: a slot begins anew anyway."""
_POLL_SECONDS = 0.1
"""Between looks at whether a rung is decided."""


@dataclass(slots=True)
class _Lane:
    """A claimed slot in training, with its history, some of it not yet recorded."""

    claim: Claim
    values: list[float] = field(default_factory=list)
    train_loss: list[float | None] = field(default_factory=list)
    validation_loss: list[float | None] = field(default_factory=list)
    state: TrialState = TrialState.RUNNING
    reason: str | None = None
    _recorded: int = 0

    def hear(self, report: EpochReport, last: int) -> None:
        """Note an epoch; one in which the slot failed has losses, but no value to be compared with others."""
        self.train_loss.append(_finite(report.train_loss))
        self.validation_loss.append(_finite(report.validation_loss))
        if report.failure is not None:
            self.end(TrialState.FAIL, report.failure)
            return
        self.values.append(report.value)
        if len(self.values) == last:
            self.state = TrialState.COMPLETE

    def end(self, state: TrialState, reason: str) -> None:
        """Note that the slot ends here, and why."""
        self.state, self.reason = state, reason

    @property
    def has_news(self) -> bool:
        """Tell whether something is not yet recorded."""
        return len(self.values) > self._recorded or self.state.is_finished()

    def record(self) -> Record:
        """Return what is not yet recorded, and take it for recorded."""
        steps = dict(enumerate(self.values[self._recorded :], self._recorded + 1))
        self._recorded = len(self.values)
        attrs = {"train_loss": self.train_loss, "validation_loss": self.validation_loss}
        reason = {"reason": self.reason} if self.reason is not None else {}
        return Record(self.claim, steps, self.values[-1] if self.values else None, {**attrs, **reason}, self.state)


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
    stop: Callable[[], bool]
    """Asked after each epoch: whether to give the slots back and leave."""
    claimed: Callable[[list[int]], None]
    """Hears the numbers of the slots that were claimed."""
    recorded: Callable[[], None]
    """Hears that something was recorded."""
    _lanes: dict[int, _Lane] = field(default_factory=dict)
    """The slots this worker holds, by number."""
    _parked: list[Stack] = field(default_factory=list)
    """Stacks at a rung that is not decided."""
    _survived: list[Stack] = field(default_factory=list)
    """Stacks at a rung that is: what is left of them may go on."""
    _flushed: float = field(default_factory=time.monotonic)

    def work(self) -> None:
        """Train stacks until no slot can be claimed.

        Raises `Interrupted` when asked to stop, and `StorageError`; either way unfinished slots can be claimed again.
        """
        with threadpool_limits(1), self._renewing():
            try:
                while (stack := self._next()) is not None:
                    self._train(stack)
            finally:
                self.storage.release([lane.claim for lane in self._lanes.values()])
                self._lanes, self._parked, self._survived = {}, [], []

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
        """Return the stack to train next: survivors that fill one, else new slots, else what survivors there are."""
        while True:
            self._heed("Stopped before the next stack.")
            self._decide_rungs()
            group = self._widest_group()
            if sum(len(stack.numbers) for stack in group) >= self.stack:
                return self._joined(group)
            if claims := self.storage.claim(self.study_id, self._width()):
                self._lanes.update({claim.slot.number: _Lane(claim) for claim in claims})
                self.claimed([claim.slot.number for claim in claims])
                return self.objective.start([claim.slot for claim in claims])
            if group:
                return self._joined(group)
            if not self._parked:
                return None
            time.sleep(_POLL_SECONDS)

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
            self._flush_if_due(0 if at_once else _FLUSH_SECONDS, stack)
            if self._lanes:
                self._heed("Stopped after an epoch.")
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
            self._survived.append(stack)
        self._parked = undecided
        self._flush_if_due(0)

    def _prune(self, stack: Stack, values: dict[int, float]) -> None:
        kept = self.halving.kept(len(values), stack.epoch)
        losers = values.keys() - survivors(values, kept)
        reason = f"pruned after epoch {stack.epoch}: not among the {kept} best of {len(values)}"
        for number in losers & set(stack.numbers):
            self._lanes[number].end(TrialState.PRUNED, reason)

    def _widest_group(self) -> list[Stack]:
        """Return the surviving stacks that have come equally far, of the epoch that has most slots."""
        groups: dict[int, list[Stack]] = {}
        for stack in self._survived:
            groups.setdefault(stack.epoch, []).append(stack)
        return max(groups.values(), key=lambda group: sum(len(stack.numbers) for stack in group), default=[])

    def _joined(self, group: list[Stack]) -> Stack:
        """Put as many stacks together as train together well."""
        first, *others = group
        self._survived.remove(first)
        for other in others:
            if len(first.numbers) + len(other.numbers) <= self.stack:
                first.join(other)
                self._survived.remove(other)
        return first

    def _flush_if_due(self, seconds: float, *stacks: Stack) -> None:
        """Record what slots did since the last time, if that is long enough ago, and let go of those ended or lost."""
        lanes = [lane for lane in self._lanes.values() if lane.has_news]
        if not lanes or time.monotonic() < self._flushed + seconds:
            return
        self._flushed = time.monotonic()
        records = [lane.record() for lane in lanes]
        lost = self.storage.record(records, [lane.claim for lane in self._lanes.values()])
        ended = [record.claim for record in records if record.state.is_finished()]
        gone = {claim.slot.number for claim in (*lost, *ended)}
        for number in gone:
            del self._lanes[number]
        for stack in (*stacks, *self._parked, *self._survived):
            stack.drop(gone & set(stack.numbers))
        self._parked = [stack for stack in self._parked if stack.numbers]
        self._survived = [stack for stack in self._survived if stack.numbers]
        self.recorded()


def _finite(value: float) -> float | None:
    """Return the value, or None where JSON and a dashboard could not show it."""
    return value if math.isfinite(value) else None
