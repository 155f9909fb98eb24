"""Test runs in their own process that receive SIGKILL, SIGINT, SIGTERM or SIGHUP, or have no room on the disk."""

import signal
import subprocess

import pytest
from campaigns import write_campaign
from commands import coarsefine
from forked import Forked, run_ignoring_hangup, run_on_full_disk
from processes import end_of, finish, kill_repeatedly, signal_once, start, start_dying
from stored import counted, epochs_recorded, table

from coarsefine import Campaign, run

LONG = {"model": {"hidden": 100, "epochs": 40}}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = write_campaign(tmp_path_factory.mktemp("expected"), **LONG)
    status = run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    return status, table(folder / "studies.db")


@pytest.fixture
def folder(tmp_path):
    return write_campaign(tmp_path, **LONG)


def check_same(folder, expected):
    status, rows = expected
    assert table(folder / "studies.db") == rows
    output = coarsefine("status", cwd=folder).stdout
    assert f"test {100 * status.final.test_accuracy:.2f} %" in output
    leftovers = {path.name for path in folder.iterdir()} - {"small.toml", "studies.db", "studies.db-backups", "trained"}
    assert leftovers == set()


def test_repeatedly_killed_run_records_the_same_values(folder, expected):
    """A run that is killed and repeated several times records the same trials as an undisturbed run."""
    assert kill_repeatedly(folder, processes=1, kills=3) >= 2
    finish(folder)
    check_same(folder, expected)


@pytest.mark.parametrize("moment", ["file filled", "file made", "during the first stack"])
def test_killed_while_it_creates_the_database_or_trains(folder, expected, moment):
    """A run that is killed while it creates its database or trains its first stack resumes without loss."""
    process = start_dying(folder, moment)
    assert end_of(process)[0] == -signal.SIGKILL
    assert (folder / "studies.db").exists() == (moment != "file filled")
    finish(folder)
    for second_name in folder.glob("studies.db-new-*") if moment == "file made" else ():
        second_name.unlink()
    check_same(folder, expected)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_run_releases_its_slots_and_prints_how_to_resume(folder, expected, kind):
    """Ctrl-C, SIGTERM and SIGHUP exit with 130, leave no trial RUNNING, and print the command that resumes last."""
    process = start(folder)
    assert signal_once(process, kind, lambda: epochs_recorded(folder) > 4)
    code, stderr = end_of(process)
    assert code == 130
    last = stderr.strip().splitlines()[-1]
    assert last.endswith("-m coarsefine run small.toml --workers 1")
    assert counted(folder, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == 0
    resume = last[last.index("To resume: ") + len("To resume: ") :]
    if kind == signal.SIGINT:
        answer = subprocess.run(["sh", "-c", resume], cwd=folder, check=False, capture_output=True, text=True)  # noqa: S607
        assert answer.returncode == 0, answer.stderr
    else:  # the same command, as the assertion above says, in this process
        finish(folder)
    check_same(folder, expected)


def test_run_below_nohup_ignores_a_closed_terminal(folder, expected):
    """SIGHUP does not stop a run that was started with it ignored, as `nohup` does."""
    process = Forked(run_ignoring_hangup, "run", "small.toml", "--workers", 1, cwd=folder)
    assert signal_once(process, signal.SIGHUP, lambda: epochs_recorded(folder) > 4)
    code, stderr = end_of(process)
    assert code == 0, stderr
    check_same(folder, expected)


def test_concurrent_runs_share_the_slots(folder, expected):
    """Two concurrent runs of a campaign train each slot once, and the winner once."""
    processes = [start(folder), start(folder)]
    ends = [end_of(process) for process in processes]
    assert [code for code, _ in ends] == [0, 0], ends
    assert sum("Final training of the winner" in text for _, text in ends) == 1
    check_same(folder, expected)


@pytest.mark.parametrize(
    "size", [60_000, 125_000, 150_000], ids=["creating the file", "writing slots", "during a stack"]
)
def test_full_disk_stops_the_run_and_loses_nothing(folder, expected, size):
    """A full disk ends the run with exit 5, the file and the cause; no trial fails for it."""
    code, stderr = end_of(Forked(run_on_full_disk, size, "run", "small.toml", "--workers", 1, cwd=folder))
    assert code == 5, stderr
    assert "studies.db" in stderr
    assert "run the same command again" in stderr
    assert "Traceback" not in stderr
    finish(folder)
    check_same(folder, expected)
