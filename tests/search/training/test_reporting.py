"""Test how a function's reports are sent, with the other end of the connection held by the test."""

import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from coarsefine import TrialEnded
from coarsefine.search.training.user_code import report
from coarsefine.search.training.user_code.channel import Channel
from coarsefine.search.training.user_code.report import BatchReport, Planned, Report, Reporter

END = {"kind": "end"}


def going_on(*positions, until=0):
    return {"kind": "continue", "positions": positions, "until": until}


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Return a clock that stands still: `now` is its time."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(report, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def worker():
    """Return the worker's end, connected to `worker.trial`; a function that waits in vain fails after a second."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(1.0)
        channel = Channel(ours)
        channel.trial = Channel(theirs)
        channel.trial.receive = lambda receive=channel.trial.receive: receive(1.0) or pytest.fail("no answer came")
        yield channel


def reporter_of(worker, trials=1, **options):
    planned = [Planned(number, {}, 1, 1, Path()) for number in range(trials)]
    return Reporter(worker.trial, planned, "value", **{"batched": trials > 1, "epochs": 9, "until": 4} | options)


def sent(worker):
    """Return the reports that have arrived, each as its epoch and whether the function waits."""
    arrived = []
    while (message := worker.receive(0)) is not None:
        arrived.append((message["epoch"], message["waits"]))
    return arrived


def test_reports_before_a_rung_are_sent_at_once_and_return_without_an_answer(worker):
    """Reports of short epochs arrive one by one; the function waits at its rung, and goes on to the next one."""
    own = Report(reporter_of(worker))
    for epoch in (1, 2, 3):
        own(0.5)
        assert sent(worker) == [(epoch, False)]
    worker.send(going_on(0, until=6))
    own(0.5)
    own(0.6)
    assert sent(worker) == [(4, True), (5, False)]
    worker.send(END)
    with pytest.raises(TrialEnded):
        own(0.6)


@pytest.mark.parametrize(
    ("value", "options"), [("text", {}), (float("nan"), {}), (0.5, {"epoch": 3}), (0.5, {"loss": None})]
)
def test_function_is_ended_in_the_report_that_fails_its_trial(worker, value, options):
    """A report that fails the trial waits for the worker, and raises at its own line, also between rungs."""
    own = Report(reporter_of(worker))
    own(0.5)
    worker.send(END)
    with pytest.raises(TrialEnded):
        own(value, **options)
    assert [waits for _, waits in sent(worker)] == [False, True]


def test_batch_waits_for_the_positions_that_go_on_without_a_diverged_trial(worker):
    """A batch goes on without an answer, too, unless a value fails a trial: then the worker says who goes on."""
    own = BatchReport(reporter_of(worker, trials=3))
    assert own([0.1, 0.2, 0.3]) == (0, 1, 2)
    worker.send(going_on(0, 2, until=4))
    assert own([0.1, float("inf"), 0.3]) == (0, 2)
    assert own([0.1, 0.3]) == (0, 2)
    assert sent(worker) == [(1, False), (2, True), (3, False)]


def test_long_epochs_wait_for_the_answer(worker, clock):
    """A report that comes long after the last answer waits, so that a stop ends the function there."""
    own = Report(reporter_of(worker))
    own(0.5)
    clock.now += 1.0
    worker.send(going_on(0, until=4))
    own(0.5)
    own(0.5)
    assert sent(worker) == [(1, False), (2, True), (3, False)]


@pytest.mark.parametrize("form", [Report, BatchReport])
def test_report_of_an_earlier_call_is_refused(worker, form):
    """A thread that a function has left behind cannot report for the next trial of its process."""
    reporter = reporter_of(worker, trials=1 if form is Report else 2)
    assert reporter.close()
    with pytest.raises(RuntimeError, match="after your function had returned"):
        form(reporter)(0.5)
    assert sent(worker) == []


def test_call_does_not_end_in_order_while_a_thread_waits_in_its_report(worker):
    """Such a thread would take the next call's messages: `close` says so, and its process is not used again."""
    reporter = reporter_of(worker, until=0)
    thread = threading.Thread(target=Report(reporter), args=[0.5])
    thread.start()
    assert worker.receive(5)["epoch"] == 1
    assert not reporter.close()
    worker.send(going_on(0))
    thread.join(5)
    assert reporter.close()


@pytest.mark.parametrize("number", [np.int64(3), np.uint8(3), np.array(3)])
def test_epoch_is_any_whole_number(worker, number):
    """A loop over NumPy's numbers may report them as they are."""
    own = Report(reporter_of(worker))
    worker.send(going_on(0, until=9))
    own(0.5, epoch=number)
    assert sent(worker) == [(3, True)]


@pytest.mark.parametrize("number", [1.5, "3", [1]])
def test_epoch_that_is_no_whole_number_is_named(worker, number):
    """The error has the epoch that was given."""
    with pytest.raises(TypeError, match=r"epoch = .* must be a whole number"):
        Report(reporter_of(worker))(0.5, epoch=number)
    assert sent(worker) == []
