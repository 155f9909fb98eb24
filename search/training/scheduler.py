"""Which slots a worker claims together, and which of its stacks trains next.

A stack is trained to its next rung, parked there until every slot of its cohort has reached the rung, and continues
without the pruned slots. Small stacks are joined, since a wide stack costs less per slot.
"""

import bisect
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self

from coarsefine.search.campaign.pruning import Pruning
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.objective import Stack

NO_RETRIES: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class SlotGroup:
    """A stage's slots of one kind, which can train in one stack."""

    numbers: Sequence[int]
    """The slots' numbers, rising."""
    limit: int
    """The most slots that train in one stack."""
    share: int
    """How many slots a worker claims at once."""


@dataclass(frozen=True, slots=True)
class SlotGroups:
    """A stage's slots, grouped by kind."""

    kinds: Sequence[SlotGroup]
    """The group of each kind."""
    by_slot: Mapping[int, SlotGroup]
    """The group of each slot number."""

    @classmethod
    def of(
        cls, slots: Sequence[Slot], kind: Callable[[Slot], Hashable], widest: Callable[[Slot], int], workers: int
    ) -> Self:
        """Group slots, given by rising numbers; `widest` returns how many slots of a slot's kind train in one stack.

        Each kind is divided into even shares: 10, 10 and 10 rather than 12, 12 and 6. If there are fewer kinds than
        workers, several workers share a kind.
        """
        by_kind: dict[Hashable, list[Slot]] = {}
        for slot in slots:
            by_kind.setdefault(kind(slot), []).append(slot)
        sharing = math.ceil(workers / len(by_kind))
        groups = []
        for members in by_kind.values():
            limit = widest(members[0])
            rounds = math.ceil(len(members) / limit / sharing)
            share = math.ceil(len(members) / (rounds * sharing))
            groups.append(SlotGroup([slot.number for slot in members], limit, share))
        return cls(groups, {number: group for group in groups for number in group.numbers})

    @property
    def largest_share(self) -> int:
        """Return the most slots that a worker claims at once."""
        return max(group.share for group in self.kinds)

    def companions(self, number: int) -> Sequence[int]:
        """Return the numbers of the slots to claim together with a slot: itself and those after it, of its kind."""
        group = self.by_slot[number]
        place = bisect.bisect_left(group.numbers, number)
        return group.numbers[place : place + group.share]


@dataclass(slots=True)
class Scheduler:
    """Holds a worker's stacks and chooses the one that trains next. It neither trains nor records."""

    groups: SlotGroups
    pruning: Pruning
    started: list[Stack] = field(default_factory=list)
    """Stacks of the last claim that have not reached their next rung or last epoch."""
    parked: list[Stack] = field(default_factory=list)
    """Stacks at a rung that is not decided yet."""
    survived: list[Stack] = field(default_factory=list)
    """Stacks at a decided rung, without the pruned slots."""

    @property
    def stacks(self) -> list[Stack]:
        """Return all stacks."""
        return [*self.started, *self.parked, *self.survived]

    def add(self, stack: Stack) -> None:
        """Take in a stack of newly claimed slots, which may have been resumed at a rung."""
        (self.parked if stack.epoch in self.pruning.rungs else self.started).append(stack)

    def next_started(self) -> Stack | None:
        """Return the started stack with the fewest epochs, joined with those it caught up with; None without any."""
        if not self.started:
            return None
        return self._join(self.started, min(self.started, key=lambda stack: stack.epoch))

    def next_survivors(self, *, only_full: bool) -> Stack | None:
        """Return the largest group of survivors as one stack, or None; with `only_full`, only if it fills a stack."""
        together: dict[tuple[SlotGroup, int], list[Stack]] = {}
        for stack in self.survived:
            together.setdefault((self._group(stack), stack.epoch), []).append(stack)
        most = max(together.values(), key=_size, default=[])
        if not most or (only_full and _size(most) < self._group(most[0]).limit):
            return None
        return self._join(self.survived, most[0])

    def next_meeting(self, stack: Stack) -> float:
        """Return the epoch at which a stack catches up with a started one that it can join; infinity without any."""
        ahead = (other for other in self.started if other.epoch > stack.epoch)
        return min((other.epoch for other in ahead if self._fit(stack, other)), default=math.inf)

    def park(self, stack: Stack) -> None:
        """Park a stack that has reached its stop; forget it if no slot is left in it."""
        self.started = [other for other in self.started if other is not stack]
        self.survived = [other for other in self.survived if other is not stack]
        if stack.numbers:
            self.parked.append(stack)

    def cohorts_of(self, stack: Stack) -> set[range]:
        """Return the cohorts of a stack's slots, as slot numbers."""
        return {self.pruning.cohort_of(number, len(self.groups.by_slot)) for number in stack.numbers}

    def decide_rung(
        self, stack: Stack, values: Mapping[int, float | None], retries: Mapping[int, int] = NO_RETRIES
    ) -> dict[int, str] | None:
        """Return the slots of a parked stack to prune, each with the reason; None while a cohort is incomplete.

        `values` are the cohorts' values at the rung, by slot number, and `retries` which retry put a slot back. A slot
        is compared as if those that a later retry put back had failed for good: so a retry changes nothing that is
        decided, whenever it comes. A decided stack counts as survived.
        """
        cohorts = self.cohorts_of(stack)
        of = {number: retries.get(number, 0) for cohort in cohorts for number in cohort}
        latest = max(of[number] for number in stack.numbers)
        if not all(number in values or of[number] > latest for number in of):
            return None
        self.parked = [other for other in self.parked if other is not stack]
        self.survived.append(stack)
        losers: dict[int, str] = {}
        for cohort in cohorts:
            for retry in {of[number] for number in stack.numbers if number in cohort}:
                seen = {number: None if of[number] > retry else values[number] for number in cohort}
                decided = self.pruning.losers(cohort, stack.epoch, seen)
                losers |= {number: reason for number, reason in decided.items() if of[number] == retry}
        return {number: reason for number, reason in losers.items() if number in stack.numbers}

    def drop(self, numbers: set[int]) -> None:
        """Take slots out of their stacks, and forget stacks without slots."""
        for stack in self.stacks:  # all first, since user code may take its time, and so they take it together
            stack.ask_to_end(numbers & set(stack.numbers))
        for stack in self.stacks:
            stack.drop(numbers & set(stack.numbers))
        self.started, self.parked, self.survived = (
            [stack for stack in stacks if stack.numbers] for stacks in (self.started, self.parked, self.survived)
        )

    def _join(self, among: list[Stack], first: Stack) -> Stack:
        """Join other stacks after equally many epochs to the first one, as many as fit."""
        for other in [stack for stack in among if stack is not first and stack.epoch == first.epoch]:
            if self._fit(first, other):
                first.join(other)
                among[:] = [stack for stack in among if stack is not other]
        return first

    def _fit(self, stack: Stack, other: Stack) -> bool:
        """Return whether two stacks could train as one after equally many epochs."""
        group = self._group(stack)
        return group is self._group(other) and _size([stack, other]) <= group.limit

    def _group(self, stack: Stack) -> SlotGroup:
        return self.groups.by_slot[stack.numbers[0]]


def _size(stacks: Iterable[Stack]) -> int:
    return sum(len(stack.numbers) for stack in stacks)
