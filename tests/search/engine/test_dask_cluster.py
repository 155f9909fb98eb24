"""Test Dask clusters: they train the same values as one process, even if one of their processes is killed."""

import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from campaigns import write_campaign
from command_campaigns import check_faulty, write_faulty
from commands import coarsefine
from faulty_campaigns import FORMS, campaign_in, check_faults
from faulty_functions import FAULTS
from other_programs import Hands
from processes import end_of, start, wait_until
from stored import counted, epochs_recorded, table, undisturbed_table

from coarsefine.search.engine import dask_cluster

DASK = Path(sys.executable).with_name("dask")
NARROW = {"coarse": {"stack": 2}, "fine": {"stack": 2}}
"""Changes of the stages after which there are stacks for every worker."""


@contextmanager
def dask(*arguments, folder):
    """Run one of Dask's own commands until the end of the block; yield its process."""
    command = [DASK, *arguments]
    with (folder / "dask.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=240)


@contextmanager
def cluster_in(folder):
    """Start a scheduler and two workers as the README says; yield the address and the workers' processes."""
    with ExitStack() as stack:
        address = folder / "scheduler.json"
        scheduler = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", address)
        stack.enter_context(dask(*scheduler, folder=folder))
        wait_until(address.exists)
        worker = ("worker", "--scheduler-file", address, "--nthreads", "1", "--no-dashboard")
        workers = [stack.enter_context(dask(*worker, folder=folder)) for _ in range(2)]
        wait_until(lambda: (folder / "dask.log").read_text("utf-8").count("Registered to:") == 2)
        port = address.read_text("utf-8").partition("tcp://127.0.0.1:")[2].partition('"')[0]
        yield f"dask://127.0.0.1:{port}", workers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Start a cluster that trains several campaigns; return its address and its workers' processes."""
    with cluster_in(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture
def engine(cluster):
    """Return the address of the cluster."""
    return cluster[0]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """Return the table of the small campaign, trained by one process."""
    return undisturbed_table(tmp_path_factory.mktemp("one"), stage=NARROW)


def test_cluster_trains_the_same_values(engine, tmp_path, address, one_process):
    """On each database, a Dask cluster records the same values at every epoch as one process."""
    folder = write_campaign(tmp_path, stage=NARROW)
    answer = coarsefine("run", "small.toml", "--engine", engine, "--storage", address, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert table(address) == one_process


def test_interrupted_run_stops_its_workers_on_the_cluster(engine, folder, expected):
    """Ctrl-C stops the run's workers after an epoch; the cluster stays up and trains the next run."""
    process = start(folder, "--engine", engine)
    wait_until(lambda: epochs_recorded(folder) > 4)
    process.send_signal(signal.SIGINT)
    code, stderr = end_of(process)
    assert code == 130, stderr
    answer = coarsefine("run", "small.toml", "--engine", engine, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert table(folder / "studies.db") == expected


@pytest.mark.parametrize("function", FORMS)
def test_cluster_ends_faulty_trials_as_one_process_does(engine, tmp_path, function):
    """On a Dask cluster, too, each faulty trial of a user's function ends with its reason, and nothing else does."""
    campaign_in(tmp_path, function, len(FAULTS), {"stack": 1})
    answer = coarsefine("run", "small.toml", "--engine", engine, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    check_faults(table(tmp_path / "studies.db"))


def test_workers_whose_trials_fail_stop_on_the_cluster(engine, tmp_path):
    """Workers of a cluster stop after three failures with the same cause; the run ends with 3 and says how to go on."""
    (tmp_path / "broken.py").write_text("def train(point, seed, report):\n    raise OSError('no disk')\n", "utf-8")
    write_campaign(tmp_path, "objective", objective="broken:train", stage={"coarse": {"trials": 20}})
    answer = coarsefine("run", "small.toml", "--engine", engine, cwd=tmp_path)
    assert answer.returncode == 3, answer.stderr
    *_, cause, _ = answer.stderr.splitlines()
    assert cause.startswith(
        "small/coarse: 3 failures in a row with the same cause: OSError: no disk (broken.py, line 2)"
    )
    assert counted(tmp_path, "SELECT count(*) FROM trials WHERE state = 'FAIL'") == 6
    assert counted(tmp_path, "SELECT count(*) FROM trials WHERE state = 'WAITING'") == 14


def test_cluster_ends_faulty_commands_as_one_process_does(engine, tmp_path):
    """On a Dask cluster, too, each faulty command ends with its reason, and nothing else does."""
    write_faulty(tmp_path)
    answer = coarsefine("run", "small.toml", "--engine", engine, cwd=tmp_path)
    assert answer.returncode == 3, answer.stderr  # more than half of the commands are faulty
    check_faulty(table(tmp_path / "studies.db"))


@pytest.mark.parametrize("act", ["delete", "add"])
def test_other_program_changes_a_study_of_a_cluster(engine, folder, expected, act):
    """A study deleted mid-run ends the run on the cluster with 5; trials that Optuna enqueues are left alone."""
    process = start(folder, "--engine", engine)
    wait_until(lambda: epochs_recorded(folder) > 4)
    hands = Hands(folder / "studies.db")
    getattr(hands, act)()
    hands.close()
    code, stderr = end_of(process)
    assert "Traceback" not in stderr
    if act == "delete":
        assert code == 5, stderr
        assert "Another program, such as Optuna, deleted the study small/" in stderr
    else:
        assert code == 0, stderr
        assert "another program" in " ".join(stderr.split())
        rows = table(folder / "studies.db")
        assert {slot: rows[slot] for slot in expected} == expected


def test_killed_cluster_process_loses_nothing(cluster, folder, expected):
    """If a process of the cluster is killed while it trains, the others take over its slots."""
    engine, workers = cluster  # this is the last test of the cluster, because it leaves one worker
    process = start(folder, "--engine", engine)
    wait_until(lambda: epochs_recorded(folder) > 4)
    workers[0].kill()  # the nanny: its worker process ends with it
    code, stderr = end_of(process)
    assert code == 0, stderr
    assert table(folder / "studies.db") == expected


@pytest.mark.parametrize(
    ("unreachable", "message"),
    [
        ("dask://127.0.0.1:9", "No Dask scheduler answers at tcp://127.0.0.1:9"),
        ("dask://nothing", "is not the address of a Dask scheduler: give dask://HOST:PORT"),
        ("ray://127.0.0.1:1", "is not the address of a Dask scheduler: give dask://HOST:PORT"),
    ],
)
def test_unreachable_engine_is_refused(folder, monkeypatch, unreachable, message):
    """An invalid or unreachable scheduler address exits with 2, and no file is written."""
    monkeypatch.setattr(dask_cluster, "_CONNECT_SECONDS", 0.5)  # nobody comes later
    answer = coarsefine("run", "small.toml", "--engine", unreachable, cwd=folder)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr
    assert [path.name for path in folder.iterdir()] == ["small.toml"]
