"""Test the renewal of leases with clocks that the tests set."""

import threading

import pytest

from coarsefine.search.storage.lease_renewal import Gaps, renewed


class Clock:
    """A wall clock and a steady clock; the steady one passes by itself."""

    def __init__(self):
        self.wall = self.steady = 0.0

    def gaps(self):
        return Gaps(lambda: self.wall, lambda: self.steady)


@pytest.mark.parametrize(
    ("wall", "steady", "noticed"),
    [(1.0, 1.0, False), (600.0, 1.0, True), (-600.0, 1.0, True), (601.0, 601.0, True)],
    ids=["a second", "set ahead or asleep", "set back", "stopped"],
)
def test_gap_in_time_is_noticed_once(wall, steady, noticed):
    """A jump of the wall clock and a suspended process are noticed, once; a second that passes is not."""
    clock = Clock()
    gaps = clock.gaps()
    clock.wall, clock.steady = wall, steady
    assert gaps.noticed() is noticed
    assert gaps.noticed() is False


def test_leases_are_renewed_at_once_after_a_gap():
    """After a jump of the wall clock, leases are renewed at the next look, long before it is due."""
    clock, done = Clock(), threading.Event()
    with renewed(done.set, 300.0, clock.gaps()):
        clock.wall += 600.0
        assert done.wait(240)
    assert clock.steady == 0.0
