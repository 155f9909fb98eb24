"""Test processes whose clock jumps past all leases: the living keep their trials, and the final training its lock."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from campaigns import write_campaign
from forked import Forked, run_command, run_ten_minutes_ahead
from processes import end_of, wait_until
from stored import ended

from coarsefine import Campaign, Observer, run
from coarsefine.search.engine import stage_loop
from coarsefine.search.storage import lease_renewal
from coarsefine.search.storage.lease_queue import OnceLock
from coarsefine.search.storage.optuna_storage import Storage

FUNCTION = """\
import time
from pathlib import Path


def train(point, seed, report):
    Path(f"{report.number}-{report.attempt}").touch()
    while report.number == 0 and not Path("go").exists():
        time.sleep(0.01)
    return 0.5
"""


def start(folder, function, *arguments):
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return Forked(function, *arguments, cwd=folder, env=env, packages=[folder])


def test_worker_whose_clock_is_ahead_takes_nothing_from_the_living(tmp_path):
    """A process whose clock is past all leases trains what is free, waits for the rest, and takes no trial over."""
    (tmp_path / "waits.py").write_text(FUNCTION, "utf-8")
    stage = {"coarse": {"trials": 6}, "fine": None}
    folder = write_campaign(tmp_path, "objective", objective="waits:train", epochs=None, stage=stage)
    owner = start(folder, run_command, "run", "small.toml", "--workers", 1)
    wait_until((folder / "0-1").exists)
    ahead = start(folder, run_ten_minutes_ahead, "worker", "small")
    wait_until(lambda: ended(folder) == 5)
    wait_until(lambda: "Another process trains 1 slots" in Path(ahead.stderr.name).read_text("utf-8"))
    (folder / "go").touch()
    for process in (owner, ahead):
        code, stderr = end_of(process)
        assert code == 0, stderr
    assert sorted(path.name for path in folder.glob("[0-9]-*")) == [f"{number}-1" for number in range(6)]


def test_right_to_the_final_training_is_renewed_before_its_first_epoch(small_file, monkeypatch):
    """The lock of the final training is renewed from its beginning, while images load and the trial is reproduced."""
    monkeypatch.setattr(lease_renewal, "_JUMP_SECONDS", -1.0)  # each look at the clocks finds a jump
    database = small_file.parent / "studies.db"

    def lasts():
        with closing(sqlite3.connect(database, timeout=30)) as connection:
            return connection.execute("SELECT expires FROM lease WHERE trial_id < 0").fetchone()[0]

    renewals = []

    class Slow(Observer):
        def on_final_opened(self, campaign, status):
            before = lasts()
            wait_until(lambda: lasts() > before)
            renewals.append(before)

    run(Campaign.load(small_file), database, observer=Slow())
    assert len(renewals) == 1


def test_waiting_run_reads_no_trials(small_file, monkeypatch):
    """A run that waits for another one's final training reads whether it has ended, and no trials."""
    reads, seen, acquire, read = [], [], OnceLock.acquire, Storage.trials_of

    def acquire_late(lock, study_id):
        seen.append(len(reads))
        return len(seen) > 5 and acquire(lock, study_id)

    def noting(storage, study_id):
        reads.append(study_id)
        return read(storage, study_id)

    monkeypatch.setattr(stage_loop, "_POLL_SECONDS", 0)
    monkeypatch.setattr(OnceLock, "acquire", acquire_late)
    monkeypatch.setattr(Storage, "trials_of", noting)
    assert run(Campaign.load(small_file), small_file.parent / "studies.db").state == "done"
    assert seen[0] == seen[5] > 0
