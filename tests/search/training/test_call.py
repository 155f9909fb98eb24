"""Test calls of user code with a conversation and a clock of the test's own."""

from types import SimpleNamespace

import pytest

from coarsefine.search.campaign.space import Point
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.user_code import call
from coarsefine.search.training.user_code.call import Call, CallOptions
from coarsefine.search.training.user_code.conversation import Returned
from coarsefine.search.training.user_code.values import Judged


class Late:
    """User code that returns after some checks of the clock, each so many seconds after the one before."""

    def __init__(self, seconds):
        self.seconds, self.now = list(seconds), 0.0

    def proceed(self, positions, epoch):
        pass

    def receive(self, _):
        if not self.seconds:
            return Returned([Judged(0.5)])
        self.now += self.seconds.pop(0)
        return None

    def kill(self):
        pass

    def end(self):
        pass


@pytest.mark.parametrize(
    ("seconds", "failure"),
    [([0.1, 600.0, 0.1], None), ([1.0] * 9, None), ([1.0] * 11, "neither reported nor returned within 10 s")],
    ids=["asleep", "in time", "too late"],
)
def test_sleep_of_the_computer_is_no_timeout(monkeypatch, seconds, failure):
    """The time that a suspended computer sleeps does not count for `timeout`; that in which user code runs does."""
    code = Late(seconds)
    monkeypatch.setattr(call, "time", SimpleNamespace(monotonic=lambda: code.now))
    slot = Slot(0, Point.of({"a": 0.1}), 1)
    options = CallOptions(epochs=1, timeout=10.0, stop=lambda: False, on_detail=lambda _: None)
    (report,) = Call([slot], options, code).advance()
    assert (report.failure or "").startswith(failure or "")
    assert (report.failure is None) == (failure is None)
