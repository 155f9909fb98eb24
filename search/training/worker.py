"""One worker's life: claim a stack of slots, train it, record every epoch, until the stage has none left.

Where a stage halves, stacks stop at each rung and are parked until their cohort's rung is decided; what survives is
put together into wide stacks again. Where another worker left a slot amid its training, its checkpoint is gone on from.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from optuna.trial import TrialState
from threadpoolctl import threadpool_limits

from coarsefine.search.campaign.halving import Halving, cohort_of, survivors
from coarsefine.search.errors import Interrupted, StorageError
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.slots import Claim, Record, Slot
from coarsefine.search.training.checkpoints import Checkpoint, Checkpoints
from coarsefine.search.training.grouping import SlotGroups
from coarsefine.search.training.objective import Objective, Stack
from coarsefine.search.training.slot_history import SlotHistory

_FLUSH_SECONDS = 0.25
"""Epochs shorter than this are recorded several at a time."""
_SAVE_SECONDS = 0.25
"""Between checkpoints: what a kill may cost beside the epoch it interrupts."""
_LEAST_SAVES_APART = 20
"""And how many times as long as it takes to write them: a slow disk may cost a kill's time, not everyone's."""
_DOUBTED_DEATHS = 4
"""From so many deaths of its workers on, a slot begins with its first epoch: maybe it is the checkpoint that kills."""
_POLL_SECONDS = 0.1
"""Between looks at whether a rung is decided."""


@dataclass(slots=True)
class Worker:
    """Trains the slots of one study with one BLAS thread."""

    storage: Storage
    study_id: int
    objective: Objective
    slots: Sequence[Slot]
    """Those of the whole study."""
    widest: Callable[[Slot], int]
    """Most slots that train together, of a slot's kind."""
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
    _lanes: dict[int, SlotHistory] = field(default_factory=dict)
    """The slots this worker holds, by number."""
    _begun: list[Stack] = field(default_factory=list)
    """Stacks of the last claim, until each has come to its next rung, or to the end."""
    _parked: list[Stack] = field(default_factory=list)
    """Stacks at a rung that is not decided."""
    _survived: list[Stack] = field(default_factory=list)
    """Stacks at a rung that is: what is left of them may go on."""
    _flushed: float = field(default_factory=time.monotonic)
    _next_save: float = field(default_factory=lambda: time.monotonic() + _SAVE_SECONDS)
    _kinds: SlotGroups = field(init=False)

    def __post_init__(self) -> None:
        self._kinds = SlotGroups.of(self.slots, self.objective.kind, self.widest, self.workers)

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
                claims = [lane.claim for lane in self._lanes.values()]
                self._let_go(set(self._lanes))
                self.storage.release(claims)

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
        """Return what to train next: of the last claim, or survivors that fill a stack, or new slots, or the rest."""
        while True:
            self._heed("Stopped before the next stack.")
            self._decide_rungs()
            if self._begun:
                return self._joined(self._begun, min(self._begun, key=lambda stack: stack.epoch))
            group = self._widest_group()
            if group and sum(len(stack.numbers) for stack in group) >= self._widest(group[0]):
                return self._survivors(group)
            if claims := self._claim():
                self._begin(claims)
            elif group:
                return self._survivors(group)
            elif not self._parked:
                return None
            else:
                time.sleep(_POLL_SECONDS)

    def _survivors(self, group: Sequence[Stack]) -> Stack:
        """Return survivors as one stack, and let it be known that these are in training, and nothing else."""
        stack = self._joined(self._survived, group[0])
        self.storage.train([self._lanes[number].claim for number in stack.numbers])
        return stack

    def _begin(self, claims: Sequence[Claim]) -> None:
        """Make stacks of slots, each from where its last worker left it.

        What was done before is recorded at once: others may wait for it, and should this worker die too, it is by the
        epoch it came to that a slot is blamed.
        """
        groups: dict[tuple[Hashable, int], list[Slot]] = {}
        kept: dict[Slot, Checkpoint] = {}
        for claim in claims:
            self._lanes[claim.slot.number] = SlotHistory(claim)
            checkpoint = self.checkpoints.load(claim.slot) if claim.deaths < _DOUBTED_DEATHS else None
            if checkpoint is not None:
                kept[claim.slot] = checkpoint
            epoch = checkpoint.epoch if checkpoint else 0
            groups.setdefault((self.objective.kind(claim.slot), epoch), []).append(claim.slot)
        for (_, epoch), slots in groups.items():
            stack = self._resumed(slots, epoch, kept) if epoch else None
            stack = stack or self.objective.start(slots)
            (self._parked if stack.epoch in self.halving.rungs else self._begun).append(stack)
        self.claimed([claim.slot.number for claim in claims])
        self._flush_if_due(0)

    def _resumed(self, slots: list[Slot], epoch: int, kept: dict[Slot, Checkpoint]) -> Stack | None:
        """Return slots as a stack after an epoch; None where what was kept does not fit them, and is of no use."""
        try:
            stack = self.objective.resume(slots, epoch, [kept[slot].state for slot in slots])
        except ValueError:
            self.checkpoints.forget(slot.number for slot in slots)
            return None
        for slot in slots:
            lane = self._lanes[slot.number]
            lane.history, lane.saved = kept[slot].history, epoch
        self.resumed(stack.numbers, epoch)
        return stack

    def _claim(self) -> list[Claim]:
        """Claim slots that train together, as far as there are such."""
        companions = self._kinds.companions if len(self._kinds.widths) > 1 else None
        return self.storage.claim(self.study_id, self._kinds.most, companions)

    def _train(self, stack: Stack) -> None:
        """Train a stack to its next rung, to the end, or until it can join another of the same claim."""
        stop = self.halving.next_stop(stack.epoch, self.objective.epochs)
        ahead = [other.epoch for other in self._begun if other.epoch > stack.epoch and self._fit([stack, other])]
        until = min([stop, *ahead])
        while stack.numbers and stack.epoch < until:
            for report in stack.run_epoch():
                self._lanes[report.number].hear(report, self.objective.epochs)
            over = stack.epoch == stop or not stack.numbers
            at_once = over or any(lane.claim.deaths for lane in self._lanes.values())
            self._flush_if_due(0 if at_once else _FLUSH_SECONDS)
            self._save_if_due()
            if self._lanes:
                self._heed("Stopped after an epoch.")
        if stack.epoch < stop and stack.numbers:
            return
        self._begun = [other for other in self._begun if other is not stack]
        self._survived = [other for other in self._survived if other is not stack]
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
            cohorts = {cohort_of(number, len(self.slots)) for number in stack.numbers}
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
        """Return the survivors of a kind that have come equally far: of all such groups the one that has most slots."""
        groups: dict[tuple[Hashable, int], list[Stack]] = {}
        for stack in self._survived:
            groups.setdefault((self._kind(stack), stack.epoch), []).append(stack)
        return max(groups.values(), key=lambda group: sum(len(stack.numbers) for stack in group), default=[])

    def _joined(self, among: list[Stack], first: Stack) -> Stack:
        """Put the first stack together with as many of the others that have come as far as train together well."""
        for other in [stack for stack in among if stack is not first and stack.epoch == first.epoch]:
            if self._fit([first, other]):
                first.join(other)
                among.remove(other)
        return first

    def _fit(self, stacks: Sequence[Stack]) -> bool:
        """Tell whether stacks, once equally far, could train as one."""
        size = sum(len(stack.numbers) for stack in stacks)
        return len({self._kind(stack) for stack in stacks}) == 1 and size <= self._widest(stacks[0])

    def _kind(self, stack: Stack) -> Hashable:
        return self.objective.kind(self._first(stack))

    def _widest(self, stack: Stack) -> int:
        return self.widest(self._first(stack))

    def _first(self, stack: Stack) -> Slot:
        return self._lanes[stack.numbers[0]].claim.slot

    def _flush_if_due(self, seconds: float) -> None:
        """Record what slots did since the last time, if that is long enough ago, and let go of those ended or lost."""
        lanes = [lane for lane in self._lanes.values() if lane.has_news]
        if not lanes or time.monotonic() < self._flushed + seconds:
            return
        self._flushed = time.monotonic()
        records = [lane.record() for lane in lanes]
        lost = {c.slot.number for c in self.storage.record(records, [lane.claim for lane in self._lanes.values()])}
        ended = {record.claim.slot.number for record in records if record.state.is_finished()} - lost
        self.checkpoints.forget(number for number in ended if self._lanes[number].saved)
        self._let_go(ended | lost)
        self.recorded(records)

    def _save_if_due(self) -> None:
        started = time.monotonic()
        if started >= self._next_save:
            self._save()
            took = time.monotonic() - started
            self._next_save = started + max(_SAVE_SECONDS, _LEAST_SAVES_APART * took)

    def _save(self) -> None:
        """Write a checkpoint of each slot that went on since its last, and is still ours."""
        self._flush_if_due(0)
        for stack in (*self._begun, *self._parked, *self._survived):
            for number in stack.numbers:
                lane = self._lanes[number]
                state = stack.state_of(number) if lane.saved < lane.epoch else None
                if state is not None and self.checkpoints.save(lane.claim.slot, Checkpoint(lane.history, state)):
                    lane.saved = lane.epoch

    def _let_go(self, numbers: set[int]) -> None:
        for stack in (*self._begun, *self._parked, *self._survived):
            stack.drop(numbers & set(stack.numbers))
        self._begun, self._parked, self._survived = (
            [stack for stack in stacks if stack.numbers] for stacks in (self._begun, self._parked, self._survived)
        )
        for number in numbers:
            del self._lanes[number]
