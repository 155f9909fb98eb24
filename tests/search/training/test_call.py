"""Test calls of user code with a conversation, a process or a clock of the test's own."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.results.trial_files import TrialFiles
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.user_code import call
from coarsefine.search.training.user_code.call import Call, CallOptions
from coarsefine.search.training.user_code.conversation import Returned
from coarsefine.search.training.user_code.function_call import CallSetup, FunctionCall
from coarsefine.search.training.user_code.trial_server import ProcessDied
from coarsefine.search.training.user_code.values import Judged


class Late:
    """User code that returns after some checks of the clock, each so many seconds after the one before."""

    def __init__(self, seconds):
        self.seconds, self.now = list(seconds), 0.0

    def proceed(self, positions, epoch, until):
        pass

    def receive(self, _):
        if not self.seconds:
            return Returned({0: Judged(0.5)})
        self.now += self.seconds.pop(0)
        return None

    def kill(self):
        pass

    def ask_to_end(self):
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


class Scripted:
    """A trial process whose messages are given, and its server; an exception in their place is raised."""

    def __init__(self, *messages):
        self.messages, self.sent, self.killed = list(messages), [], False

    def take(self):
        return self

    def send(self, message):
        self.sent.append({name: message.get(name) for name in ("kind", "until")})

    def receive(self, _):
        message = self.messages.pop(0)
        if isinstance(message, Exception):
            raise message
        return message

    def kill(self):
        self.killed = True

    def give_back(self, *, reusable):
        self.reusable = reusable


def reported(epoch, *values, waits=False):
    judged = [Judged(value).as_dict() for value in values]
    return {"kind": "report", "epoch": epoch, "judged": judged, "failure": None, "attrs": {}, "waits": waits}


RETURNED = {"kind": "returned", "judged": None, "failure": None, "shown": "", "attrs": {}, "reusable": True}


def call_of(folder, process, slots=1, rungs=(), **options):
    """Return a call of four epochs that a scripted process makes."""
    setup = CallSetup(
        campaign="small",
        stage="coarse",
        form="batched" if slots > 1 else "plain",
        epochs=4,
        metric="value",
        recycle=None,
        space=Space({}),
        environment={},
        files_of=lambda number: TrialFiles(folder / f"{number}", Path(folder / f"{number}.log")),
    )
    planned = [Slot(number, Point.of({"a": 0.1}), 1) for number in range(slots)]
    fixed = {"epochs": 4, "timeout": 10.0, "stop": lambda: False, "on_detail": lambda _: None, "rungs": rungs}
    return Call(planned, CallOptions(**fixed | options), FunctionCall(process, setup, planned))


def test_function_is_answered_only_where_it_waits(tmp_path):
    """A function is told its next rung, and answered at that rung; after the last one it trains to its end."""
    process = Scripted(*(reported(epoch, 0.1 * epoch, waits=epoch == 2) for epoch in (1, 2, 3, 4)), RETURNED)
    call = call_of(tmp_path, process, rungs=(2,))
    assert [call.advance()[0].value for _ in range(4)] == [0.1 * epoch for epoch in (1, 2, 3, 4)]
    assert process.sent == [{"kind": "call", "until": 2}, {"kind": "continue", "until": 5}]
    call.drop(call.numbers)
    assert process.reusable


@pytest.mark.parametrize(("alone", "resumable"), [(False, False), (True, True)])
def test_functions_that_may_not_train_on_are_asked_for_each_epoch(tmp_path, alone, resumable):
    """Calls of one stack train in turn, and a resumable function's report returns once it is recorded."""
    process = Scripted(reported(1, 0.1, waits=True), reported(2, 0.2, waits=True))
    call = call_of(tmp_path, process, resumable=resumable)
    assert [call.advance(alone=alone)[0].value for _ in range(2)] == [0.1, 0.2]
    assert process.sent == [{"kind": "call", "until": 0}, {"kind": "continue", "until": 0}]


def test_reports_before_a_crash_count(tmp_path):
    """Epochs that a function has reported are those of its trial, although it crashed before they were asked for."""
    call = call_of(tmp_path, Scripted(reported(1, 0.1), reported(2, 0.2), ProcessDied(-11)))
    assert [call.advance()[0].value for _ in range(2)] == [0.1, 0.2]
    (report,) = call.advance()
    assert report.failure.startswith("its process was killed by signal 11")


def test_function_that_trains_on_is_asked_to_end(tmp_path):
    """A call that ends between two reports, as after a stop, lets the function clean up; its process is used again."""
    process = Scripted(reported(1, 0.1), reported(2, 0.2), reported(3, 0.3, waits=True), RETURNED)
    call = call_of(tmp_path, process)
    call.advance()
    call.drop(call.numbers)
    assert process.sent[1:] == [{"kind": "end", "until": None}]
    assert not process.killed
    assert process.reusable


def test_function_that_was_asked_to_end_is_asked_once(tmp_path):
    """A call that is asked to end before it is dropped sends that once, and then waits for the end."""
    process = Scripted(reported(1, 0.1, waits=True), RETURNED)
    call = call_of(tmp_path, process)
    call.advance()
    call.ask_to_end(call.numbers)
    assert process.messages
    call.drop(call.numbers)
    assert process.sent[1:] == [{"kind": "end", "until": None}]
    assert process.reusable


def test_values_of_a_batch_belong_to_the_positions_that_it_was_told(tmp_path):
    """If a trial of a batch is lost while the function trains on, the others keep their values."""
    process = Scripted(reported(1, 0.1, 0.2, 0.3), reported(2, 0.4, 0.5, 0.6))
    call = call_of(tmp_path, process, slots=3)
    call.advance()
    call.drop([1])
    assert [(report.number, report.value) for report in call.advance()] == [(0, 0.4), (2, 0.6)]
