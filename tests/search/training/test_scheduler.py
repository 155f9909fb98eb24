"""Test which slots are claimed together and which stack trains next: pure functions of slots and stacks."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coarsefine.search.campaign.pruning import Pruning
from coarsefine.search.campaign.space import Point
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.scheduler import Scheduler, SlotGroups


def slots_of(kinds):
    """Return one slot for each kind, numbered from 0."""
    return [Slot(number, Point.of({"kind": kind}), number) for number, kind in enumerate(kinds)]


def kind_of(slot):
    """Return a slot's kind."""
    return slot.point["kind"]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=100), st.integers(1, 16), st.integers(1, 8))
def test_every_slot_is_claimed_once_with_slots_of_its_kind(kinds, widest, workers):
    """Each claim holds free slots of one kind, at most the limit, and each slot is claimed once."""
    groups = SlotGroups.of(slots_of(kinds), kind_of, lambda _: widest, workers)
    left = set(range(len(kinds)))
    while left:
        first = min(left)
        taken = [number for number in groups.companions(first) if number in left][: groups.largest_share]
        assert taken[0] == first
        assert len(taken) <= widest
        assert {kinds[number] for number in taken} == {kinds[first]}
        left -= set(taken)


def test_stage_is_divided_into_even_shares():
    """Two workers share fifty slots of one kind as tens; of two kinds, each worker claims one kind whole."""
    slots = slots_of([number % 2 for number in range(50)])
    assert SlotGroups.of(slots, lambda _: None, lambda _: 12, 2).largest_share == 9
    assert SlotGroups.of(slots, lambda _: None, lambda _: 12, 1).largest_share == 10
    assert SlotGroups.of(slots, kind_of, lambda _: 25, 2).largest_share == 25


@dataclass(eq=False)
class Stack:
    """A stack that counts its epochs."""

    numbers: list[int]
    epoch: int = 0

    def ask_to_end(self, numbers):
        pass

    def drop(self, numbers):
        self.numbers = [number for number in self.numbers if number not in numbers]

    def join(self, other):
        self.numbers = self.numbers + other.numbers


@pytest.fixture
def scheduler():
    """Return a scheduler of eight slots of two kinds, with stacks of four and a rung after two epochs."""
    groups = SlotGroups.of(slots_of([0, 1] * 4), kind_of, lambda _: 4, 1)
    return Scheduler(groups, Pruning.of("halving", {"rungs": [2]}, 9))


def test_stack_that_is_behind_trains_until_it_can_join_another(scheduler):
    """The stack with the fewest epochs trains next, until it catches up with another of its kind and joins it."""
    behind, ahead = Stack([0, 2], 3), Stack([4, 6], 5)
    scheduler.add(ahead)
    scheduler.add(behind)
    assert scheduler.next_started() is behind
    assert scheduler.next_meeting(behind) == 5
    behind.epoch = 5
    assert sorted(scheduler.next_started().numbers) == [0, 2, 4, 6]
    assert len(scheduler.stacks) == 1


def test_stacks_of_other_kinds_do_not_join(scheduler):
    """A stack does not wait for a stack of another kind."""
    first = Stack([0, 2], 3)
    scheduler.add(first)
    scheduler.add(Stack([1, 3], 5))
    assert scheduler.next_meeting(first) == float("inf")


def test_rung_is_decided_once_the_cohort_has_reached_it(scheduler):
    """A parked stack waits for the values of its whole cohort; then the losers are dropped, and the rest trains."""
    stack = Stack([0, 2, 4, 6])
    scheduler.add(stack)
    stack.epoch = 2
    scheduler.park(stack)
    assert scheduler.decide_rung(stack, dict.fromkeys(range(7), 0.5)) is None
    assert (scheduler.parked, scheduler.next_survivors(only_full=False)) == ([stack], None)
    losers = scheduler.decide_rung(stack, {number: number / 10 for number in range(8)})
    assert losers == dict.fromkeys((0, 2), "pruned after epoch 2: not among the 4 best of 8")
    scheduler.drop(set(losers))
    assert scheduler.next_survivors(only_full=True) is None
    assert scheduler.next_survivors(only_full=False).numbers == [4, 6]
