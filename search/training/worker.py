"""A worker: it claims slots of a study, trains them in stacks, and records every epoch, until no slot is left.

`scheduler` chooses the stack that trains next, and `recorder` writes what the slots did. Slots that a killed or stopped
worker left unfinished are resumed from the checkpoints that it left on this machine.
"""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial

from optuna.trial import TrialState
from threadpoolctl import threadpool_limits

from coarsefine.model.errors import ModelError
from coarsefine.search.campaign.pruning import Pruning
from coarsefine.search.errors import Interrupted, SearchError
from coarsefine.search.storage.lease_renewal import renewed
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.slots import Claim, Record, Slot
from coarsefine.search.training.checkpoints import Checkpoint, Checkpoints
from coarsefine.search.training.failure_streak import FailureStreak
from coarsefine.search.training.objective import Objective, Stack
from coarsefine.search.training.recorder import Recorder
from coarsefine.search.training.scheduler import Scheduler, SlotGroups
from coarsefine.search.training.user_code.failures import describe

_FLUSH_SECONDS = 0.25
"""Epochs shorter than this are recorded several at a time."""
_POLL_SECONDS = 0.1
"""Seconds between checks whether a rung can be decided."""
_STOPPING_SECONDS = 0.5
"""How long a signal to many processes may take to reach this one after it has killed the process of a trial."""
_DISTRUST_AFTER_DEATHS = 4
"""After this many deaths of its workers a slot starts from its first epoch: its checkpoint may be what kills them."""


@dataclass(slots=True)
class Worker:
    """Trains the slots of one study with one BLAS thread."""

    storage: Storage
    study_id: int
    objective: Objective
    groups: SlotGroups
    """All slots of the study."""
    pruning: Pruning
    checkpoints: Checkpoints
    identity: str | None = None
    """The study's identity, which it keeps while others may delete it and make another one with its id."""
    check: Callable[[], None] = lambda: None
    """Called while the worker waits at a rung; raises if the study, or a slot of it, is lost."""
    stop: Callable[[], bool] = lambda: False
    """Called after each epoch: whether to release the slots and leave."""
    on_claimed: Callable[[list[int]], None] = lambda _: None
    """Called with the numbers of newly claimed slots."""
    on_resumed: Callable[[list[int], int], None] = lambda *_: None
    """Called with the numbers of slots that continue from a checkpoint, and its epoch."""
    on_recorded: Callable[[Sequence[Record]], None] = lambda _: None
    """Called with what was recorded."""
    source: str | None = None
    """The digest of the user's code that this worker has loaded; None for the network."""
    version_changes: int = 0
    """How many changes of versions the study has, with the one that this worker trains with."""
    max_failures: int | None = None
    """After as many failures in a row with the same cause the worker stops; None if it never does."""
    scheduler: Scheduler = field(init=False)
    recorder: Recorder = field(init=False)
    failures: FailureStreak = field(init=False)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.groups, self.pruning)
        self.recorder = Recorder(
            self.storage, self.checkpoints, self.scheduler, self.on_recorded, self.source, self.version_changes
        )
        self.failures = FailureStreak(self.max_failures)

    def work(self) -> None:
        """Train stacks until no slot can be claimed.

        Raises `Interrupted` if `stop` returns true, `RepeatedFailure` if trial after trial fails with the same cause,
        and `StorageError`; in each case unfinished slots are released.
        """
        with threadpool_limits(1), renewed(self.storage.queue.renew, self.storage.lease_seconds):
            try:
                while (stack := self._next_stack()) is not None:
                    self._train(stack)
            except Interrupted:
                self.recorder.save()
                raise
            finally:
                self.recorder.release()

    def _next_stack(self) -> Stack | None:
        """Return the stack to train next; None when no slot is left for this worker.

        The last claim comes first, then survivors that fill a stack, then new slots, then other survivors.
        """
        while True:
            self._raise_if_stopped("Stopped before the next stack.")
            self._decide_rungs()
            if started := self.scheduler.next_started():
                return started
            if survivors := self.scheduler.next_survivors(only_full=True):
                return self._announced(survivors)
            if claims := self._claim():
                self._start(claims)
            elif survivors := self.scheduler.next_survivors(only_full=False):
                return self._announced(survivors)
            elif not self.scheduler.parked:
                return None
            else:
                self.check()
                time.sleep(_POLL_SECONDS)

    def _decide_rungs(self) -> None:
        """Prune the losers of each parked stack whose whole cohort has reached its rung."""
        queries = self.storage.queries
        retries = cache(partial(queries.retries, self.study_id))  # of each cohort, once
        values_after = cache(partial(queries.values_after, self.study_id))
        for stack in list(self.scheduler.parked):
            cohorts = self.scheduler.cohorts_of(stack)
            numbers = range(min(cohort.start for cohort in cohorts), max(cohort.stop for cohort in cohorts))
            retried = retries(numbers)  # before the values: one that is put back in between has none
            losers = self.scheduler.decide_rung(stack, values_after(stack.epoch, numbers), retried)
            for number, reason in (losers or {}).items():
                self.recorder.slots[number].end(TrialState.PRUNED, reason)
            self.failures.count(self.recorder.slots[number] for number in losers or ())
        self.recorder.flush()

    def _announced(self, survivors: Stack) -> Stack:
        """Return a stack of survivors, after recording that this worker trains these slots now, and no others."""
        self.storage.queue.mark_training(self.recorder.claims(survivors.numbers))
        return survivors

    def _claim(self) -> list[Claim]:
        """Claim slots that can train together."""
        companions = self.groups.companions if len(self.groups.kinds) > 1 else None
        return self.storage.queue.claim(
            self.study_id, self.groups.largest_share, companions, self.identity, self.source
        )

    def _start(self, claims: Sequence[Claim]) -> None:
        """Make stacks of claimed slots, each from its last checkpoint on this machine.

        The epochs of a checkpoint are recorded at once: other workers may wait for them at a rung, and if this worker
        dies too, the epoch a slot reached decides whether the slot is to blame.
        """
        self.recorder.hold(claims)
        with self._blaming([claim.slot.number for claim in claims]):
            stacks = [*self._start_or_resume(claims)]
        for stack, kept in stacks:
            for number, checkpoint in kept.items():
                held = self.recorder.slots[number]
                held.history, held.saved = checkpoint.history, checkpoint.epoch
            if kept:
                self.on_resumed(stack.numbers, stack.epoch)
            self.scheduler.add(stack)
        self.on_claimed([claim.slot.number for claim in claims])
        self.recorder.flush()

    def _start_or_resume(self, claims: Sequence[Claim]) -> Iterator[tuple[Stack, dict[int, Checkpoint]]]:
        """Yield claimed slots as stacks, each with the checkpoints it was resumed from, by slot number.

        Slots of one kind whose checkpoints are equally old make one stack; slots without a checkpoint start with their
        first epoch.
        """
        groups: dict[tuple[Hashable, int], list[Slot]] = {}
        found: dict[int, Checkpoint] = {}
        for claim in claims:
            slot, epoch = claim.slot, 0
            trusted = self.checkpoints.of_user_code or claim.deaths < _DISTRUST_AFTER_DEATHS
            if trusted and (checkpoint := self.checkpoints.load(slot)) is not None:
                found[slot.number], epoch = checkpoint, checkpoint.epoch
            groups.setdefault((self.objective.kind(slot), epoch), []).append(slot)
        for (_, epoch), slots in groups.items():
            kept = {slot.number: found[slot.number] for slot in slots if epoch}
            stack = self._resumed(slots, epoch, kept) if kept else None
            yield (stack, kept) if stack is not None else (self.objective.start(slots), {})

    def _resumed(self, slots: Sequence[Slot], epoch: int, kept: Mapping[int, Checkpoint]) -> Stack | None:
        """Return a stack resumed from checkpoints; None, and forget them, if they do not fit the objective."""
        try:
            return self.objective.start(slots, epoch, [checkpoint.state for checkpoint in kept.values()])
        except ValueError:
            self.checkpoints.forget(kept)
            return None

    def _train(self, stack: Stack) -> None:
        """Train a stack to its next rung or its last epoch, or until it can join another stack of the same claim."""
        stop = self.pruning.next_stop(stack.epoch)
        until = min(stop, self.scheduler.next_meeting(stack))
        while stack.numbers and stack.epoch < until:
            with self._blaming(stack.numbers):
                reports = stack.advance()
            for report in reports:
                if report.killed is None:
                    self.recorder.slots[report.number].add(report, self.objective.epochs)
            self.failures.count(self.recorder.slots[report.number] for report in reports)
            if killed := [report for report in reports if report.killed is not None]:
                self._raise_if_stopping()
                cause = f"{killed[0].killed}, maybe for lack of memory"
                self.recorder.give_up([report.number for report in killed], cause)
            suspected = any(held.claim.deaths for held in self.recorder.slots.values())
            at_once = stack.epoch == stop or not stack.numbers or suspected or self.checkpoints.of_user_code
            self.recorder.flush(0 if at_once or self.failures.too_many else _FLUSH_SECONDS)
            self.failures.raise_if_too_many()
            self.recorder.save_if_due()
            if self.recorder.slots:
                self._raise_if_stopped("Stopped after an epoch.")
        if stack.epoch == stop or not stack.numbers:
            stack.pause()
            self.scheduler.park(stack)

    @contextmanager
    def _blaming(self, numbers: Sequence[int]) -> Iterator[None]:
        """Count a death for slots whose training raises what nobody expects, such as `MemoryError`, as for a crash."""
        try:
            yield
        except (SearchError, ModelError):
            raise
        except (Exception, SystemExit) as error:
            self.recorder.give_up(list(numbers), f"raised {describe(error)}")
            raise

    def _raise_if_stopping(self) -> None:
        """Raise `Interrupted` if a stop is requested right now: its signal may have killed the trial first."""
        until = time.monotonic() + _STOPPING_SECONDS
        while time.monotonic() < until:
            self._raise_if_stopped("Stopped within an epoch.")
            time.sleep(_POLL_SECONDS)

    def _raise_if_stopped(self, message: str) -> None:
        if self.stop():
            raise Interrupted(message)
