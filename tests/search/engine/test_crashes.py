"""Test runs whose workers crash in an orderly way: an exception escapes that nobody expects."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from campaigns import write_campaign
from forked import Forked, run_command
from processes import end_of, finish
from stored import counted, table

from coarsefine import Campaign, run
from coarsefine.model import Training
from coarsefine.search.engine import worker_process
from coarsefine.search.training.objective import NetworkObjective
from coarsefine.search.training.recorder import Recorder

FAILED = "SELECT count(*) FROM trials WHERE state = 'FAIL'"


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


def raises(error):
    def fault(*_, **__):
        raise error

    return fault


def run_with(target, name, error):
    """Run two workers in which a method raises an error: their server is forked from this process."""
    setattr(target, name, raises(error))
    run_command("run", "small.toml", "--workers", 2)


def starts_of(folder):
    return [log.read_text("utf-8").count("started as process") for log in folder.glob("logs/small/*.log")]


@pytest.mark.parametrize(
    ("target", "name", "error", "words"),
    [
        (Training, "run_epoch", UnprintableError(), "UnprintableError: its message cannot be printed, RuntimeError"),
        (Training, "run_epoch", MemoryError("Unable to allocate 3 TiB"), "MemoryError: Unable to allocate 3 TiB"),
        (Recorder, "save_if_due", ZeroDivisionError("of nobody"), "ZeroDivisionError: of nobody"),
    ],
    ids=["unprintable", "no memory", "not in the training"],
)
def test_workers_that_only_crash_end_the_run(tmp_path, target, name, error, words):
    """Workers that crash three times with the same error end the run with that error; the next run is as ever."""
    folder = write_campaign(tmp_path)
    code, stderr = end_of(Forked(run_with, target, name, error, cwd=folder))
    assert code == 1, stderr
    last = stderr.strip().splitlines()[-1]
    assert "failed 3 times with the same error" in last
    assert words in last
    assert "Traceback" not in stderr
    assert all(1 <= starts <= 3 for starts in starts_of(folder))
    assert counted(folder, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == 0
    finish(folder)
    assert counted(folder, FAILED) == 0
    run(Campaign.load(folder / "small.toml"), folder / "expected.db")
    assert table(folder / "studies.db") == table(folder / "expected.db")


def die():
    """Run two workers whose processes die in their first epoch."""
    Training.run_epoch = lambda *_, **__: os._exit(7)
    run_command("run", "small.toml", "--workers", 2)


def test_workers_that_only_die_end_the_run(tmp_path):
    """If every process dies in its first epoch, the run ends before it has blamed more than a few trials."""
    folder = write_campaign(tmp_path)
    code, stderr = end_of(Forked(die, cwd=folder))
    assert code == 1, stderr
    assert "Workers died 10 times, and no trial ended in between." in stderr.strip().splitlines()[-1]
    assert counted(folder, FAILED) <= 3


def crash_with(number):
    """Run two workers; whoever trains the slot of this number, alone or with others, runs out of memory."""
    start = NetworkObjective.start

    def starts(self, slots, *rest):
        if any(slot.number == number for slot in slots):
            raise MemoryError
        return start(self, slots, *rest)

    NetworkObjective.start = starts
    run_command("run", "small.toml", "--workers", 2)


def test_slot_that_crashes_every_worker_fails_alone(tmp_path):
    """A slot whose training raises MemoryError FAILs after as many crashes as deaths; all others complete."""
    folder = write_campaign(tmp_path, stage={"coarse": {"trials": 12, "stack": 2}, "fine": None})
    codes = []
    while codes != [0] and len(codes) < 6 and (not codes or codes[-1]):
        codes.append(end_of(Forked(crash_with, 9, cwd=folder))[0])
    assert codes[-1] == 0
    reason = "SELECT value_json FROM trial_user_attributes WHERE key = 'reason'"
    assert counted(folder, FAILED) == 1
    assert counted(folder, reason).startswith('"raised MemoryError')


def test_worker_that_is_stopped_from_outside_has_not_failed(tmp_path):
    """A worker that receives SIGTERM again and again is replaced each time, and the run ends well."""
    folder = write_campaign(tmp_path)
    code, stderr = end_of(Forked(stop_starts, 4, cwd=folder))
    assert code == 0, stderr
    assert stderr.count("was stopped: its trials are released, and it is restarted") == 4


def stop_starts(times):
    """Run two workers; the first ones receive SIGTERM before they claim a slot."""
    load, folder = worker_process.load_workload, Path.cwd()

    def loads(*arguments):
        loaded = load(*arguments)
        for number in range(times):
            with suppress(FileExistsError):
                (folder / f"stopped-{number}").mkdir()
                os.kill(os.getpid(), signal.SIGTERM)
                break
        return loaded

    worker_process.load_workload = loads
    run_command("run", "small.toml", "--workers", 2)
