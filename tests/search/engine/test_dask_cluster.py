"""Test Dask clusters: they train the same values as one process, even if one of their processes is killed."""

import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from campaigns import LONG, write_campaign
from commands import coarsefine, coarsefine_process
from processes import end_of, start, wait_until
from stored import epochs_recorded, table

DASK = Path(sys.executable).with_name("dask")


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


@pytest.fixture
def cluster(tmp_path):
    """Start a scheduler and two workers as the README says; yield the address and the workers' processes."""
    with ExitStack() as stack:
        address = tmp_path / "scheduler.json"
        scheduler = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", address)
        stack.enter_context(dask(*scheduler, folder=tmp_path))
        wait_until(address.exists)
        worker = ("worker", "--scheduler-file", address, "--nthreads", "1", "--no-dashboard")
        workers = [stack.enter_context(dask(*worker, folder=tmp_path)) for _ in range(2)]
        port = address.read_text("utf-8").partition("tcp://127.0.0.1:")[2].partition('"')[0]
        wait_until(lambda: (tmp_path / "dask.log").read_text("utf-8").count("Registered to:") == 2)
        yield f"dask://127.0.0.1:{port}", workers


def test_cluster_trains_the_same_values(cluster, tmp_path, address, expected):
    """On each database, a Dask cluster records the same values at every epoch as one process."""
    engine, _ = cluster
    folder = write_campaign(tmp_path, **LONG)
    answer = coarsefine_process("run", "small.toml", "--engine", engine, "--storage", address, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert table(address) == expected


def test_killed_cluster_process_loses_nothing(cluster, tmp_path, expected):
    """If a process of the cluster is killed while it trains, the others take over its slots."""
    engine, workers = cluster
    folder = write_campaign(tmp_path, **LONG)
    process = start(folder, "--engine", engine)
    wait_until(lambda: epochs_recorded(folder) > 4)
    workers[0].kill()  # the nanny: its worker process ends with it
    code, stderr = end_of(process)
    assert code == 0, stderr
    assert table(folder / "studies.db") == expected


def test_interrupted_run_stops_its_workers_on_the_cluster(cluster, tmp_path, expected):
    """Ctrl-C stops the run's workers after an epoch; the cluster stays up and trains the next run."""
    engine, _ = cluster
    folder = write_campaign(tmp_path, **LONG)
    process = start(folder, "--engine", engine)
    wait_until(lambda: epochs_recorded(folder) > 4)
    process.send_signal(signal.SIGINT)
    code, stderr = end_of(process)
    assert code == 130, stderr
    answer = coarsefine_process("run", "small.toml", "--engine", engine, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert table(folder / "studies.db") == expected


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("dask://127.0.0.1:9", "No Dask scheduler answers at tcp://127.0.0.1:9"),
        ("dask://nothing", "is not the address of a Dask scheduler: give dask://HOST:PORT"),
        ("ray://127.0.0.1:1", "is not the address of a Dask scheduler: give dask://HOST:PORT"),
    ],
)
def test_unreachable_engine_is_refused(tmp_path, engine, message):
    """An invalid or unreachable scheduler address exits with 2, and no file is written."""
    folder = write_campaign(tmp_path, **LONG)
    answer = coarsefine("run", "small.toml", "--engine", engine, cwd=folder)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr
    assert [path.name for path in folder.iterdir()] == ["small.toml"]
