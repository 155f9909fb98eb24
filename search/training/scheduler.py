"""Which slots a worker claims together, and which of its stacks trains next.

A stack is trained to its next rung, parked there until every slot of its cohort has reached the rung, and continues
without the pruned slots. Small stacks are joined, since a wide stack costs less per slot.
"""

import bisect
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from coarsefine.search.campaign.halving import Halving, cohort_of, survivors
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.objective import Stack


@dataclass(frozen=True, slots=True)
class SlotGroups:
    """A stage's slots, grouped by kind: slots of one kind can share matrix products."""

    numbers: Mapping[Hashable, Sequence[int]]
    """The slot numbers of each kind, rising."""
    limits: Mapping[Hashable, int]
    """The most slots of each kind that train in one stack."""
    shares: Mapping[Hashable, int]
    """How many slots of each kind a worker claims at once."""
    kinds: Mapping[int, Hashable]
    """The kind of each slot number."""

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
        limits = {key: widest(group[0]) for key, group in by_kind.items()}
        return cls(
            {key: [slot.number for slot in group] for key, group in by_kind.items()},
            limits,
            {key: _even_share(len(group), limits[key], sharing) for key, group in by_kind.items()},
            {slot.number: key for key, group in by_kind.items() for slot in group},
        )

    @property
    def largest_share(self) -> int:
        """Return the most slots that a worker claims at once."""
        return max(self.shares.values())

    def companions(self, number: int) -> Sequence[int]:
        """Return the numbers of the slots to claim together with a slot: itself and those after it, of its kind."""
        kind = self.kinds[number]
        place = bisect.bisect_left(self.numbers[kind], number)
        return self.numbers[kind][place : place + self.shares[kind]]


def _even_share(slots: int, widest: int, workers: int) -> int:
    rounds = math.ceil(slots / widest / workers)
    return math.ceil(slots / (rounds * workers))


@dataclass(slots=True)
class Scheduler:
    """Holds a worker's stacks and chooses the one that trains next. It neither trains nor records."""

    groups: SlotGroups
    halving: Halving
    epochs: int
    """The epochs of a trial that is not pruned."""
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
        (self.parked if stack.epoch in self.halving.rungs else self.started).append(stack)

    def next_started(self) -> Stack | None:
        """Return the started stack with the fewest epochs, joined with those it caught up with; None without any."""
        if not self.started:
            return None
        return self._join(self.started, min(self.started, key=lambda stack: stack.epoch))

    def next_survivors(self, *, only_full: bool) -> Stack | None:
        """Return the largest group of survivors as one stack, or None; with `only_full`, only if it fills a stack."""
        group = self._largest_group()
        if not group or (only_full and _size(group) < self._limit(group[0])):
            return None
        return self._join(self.survived, group[0])

    def next_stop(self, stack: Stack) -> int:
        """Return the epoch at which a stack stops: its next rung or the last epoch."""
        return self.halving.next_stop(stack.epoch, self.epochs)

    def next_meeting(self, stack: Stack) -> float:
        """Return the epoch at which a stack catches up with a started one that it can join; infinity without any."""
        ahead = (other for other in self.started if other.epoch > stack.epoch)
        return min((other.epoch for other in ahead if self._fit([stack, other])), default=math.inf)

    def park(self, stack: Stack) -> None:
        """Park a stack that has reached its stop; forget it if no slot is left in it."""
        self.started = [other for other in self.started if other is not stack]
        self.survived = [other for other in self.survived if other is not stack]
        if stack.numbers:
            self.parked.append(stack)

    def decide_rung(self, stack: Stack, values: Mapping[int, float]) -> dict[int, str] | None:
        """Return the slots of a parked stack to prune, each with the reason; None while a cohort is incomplete.

        `values` are the stage's values at the rung, by slot number. A decided stack counts as survived.
        """
        cohorts = {cohort_of(number, len(self.groups.kinds)) for number in stack.numbers}
        if not all(number in values for cohort in cohorts for number in cohort):
            return None
        self.parked = [other for other in self.parked if other is not stack]
        self.survived.append(stack)
        losers: dict[int, str] = {}
        for cohort in cohorts:
            kept = self.halving.kept(len(cohort), stack.epoch)
            reason = f"pruned after epoch {stack.epoch}: not among the {kept} best of {len(cohort)}"
            lost = set(cohort) - survivors({number: values[number] for number in cohort}, kept)
            losers |= dict.fromkeys(lost & set(stack.numbers), reason)
        return losers

    def drop(self, numbers: set[int]) -> None:
        """Take slots out of their stacks, and forget stacks without slots."""
        for stack in self.stacks:
            stack.drop(numbers & set(stack.numbers))
        self.started, self.parked, self.survived = (
            [stack for stack in stacks if stack.numbers] for stacks in (self.started, self.parked, self.survived)
        )

    def _largest_group(self) -> list[Stack]:
        """Return the survivors of one kind after equally many epochs: of all such groups, the one with most slots."""
        groups: dict[tuple[Hashable, int], list[Stack]] = {}
        for stack in self.survived:
            groups.setdefault((self._kind(stack), stack.epoch), []).append(stack)
        return max(groups.values(), key=_size, default=[])

    def _join(self, among: list[Stack], first: Stack) -> Stack:
        """Join other stacks after equally many epochs to the first one, as many as fit."""
        for other in [stack for stack in among if stack is not first and stack.epoch == first.epoch]:
            if self._fit([first, other]):
                first.join(other)
                among[:] = [stack for stack in among if stack is not other]
        return first

    def _fit(self, stacks: Sequence[Stack]) -> bool:
        """Return whether stacks could train as one after equally many epochs."""
        return len({self._kind(stack) for stack in stacks}) == 1 and _size(stacks) <= self._limit(stacks[0])

    def _kind(self, stack: Stack) -> Hashable:
        return self.groups.kinds[stack.numbers[0]]

    def _limit(self, stack: Stack) -> int:
        return self.groups.limits[self._kind(stack)]


def _size(stacks: Iterable[Stack]) -> int:
    return sum(len(stack.numbers) for stack in stacks)
