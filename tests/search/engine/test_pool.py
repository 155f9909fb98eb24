"""Several workers on this machine: the same bits, whoever is killed; no worker survives its run, none is replaced for
ever."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from campaigns import DIVERGING, LONG, write_campaign
from commands import coarsefine, coarsefine_process
from processes import end_of, finish, signal_once, start, suspended, wait_until, workers_of
from stored import counted, ended, epochs_recorded, slots, table

from coarsefine import Campaign, Interrupted, run

LONG_HALVING = {"model": {"epochs": 40, "batch": 10}, "stage": {"coarse": {"rungs": [10, 20]}}}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = write_campaign(tmp_path_factory.mktemp("expected"), **LONG)
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    return table(folder / "studies.db")


@pytest.fixture
def folder(tmp_path):
    return write_campaign(tmp_path, **LONG)


def logs_of(folder):
    return [path.read_text("utf-8") for path in folder.glob("logs/small/*.log")]


def both_train(folder):
    """Tell whether each of two workers has claimed slots, and some epochs are recorded."""
    return sum("claimed trial" in log for log in logs_of(folder)) == 2 and epochs_recorded(folder) > 4


def test_number_of_workers_changes_no_bit(folder, expected, address):
    """On each database, three workers train the trials that one trains, with the same values at every epoch."""
    answer = coarsefine("run", "small.toml", "--workers", 3, "--storage", address, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert table(address) == expected
    logs = sorted(path.name for path in folder.glob("*logs/small/*"))
    assert logs == [f"worker-{n}.log" for n in (1, 2, 3)]


def test_four_workers_prune_as_one(tmp_path):
    """With halving, four workers wait for each other at the rungs and prune the trials that one prunes."""
    folder = write_campaign(tmp_path, "halving")
    run(Campaign.load(folder / "small.toml"), folder / "one.db")
    answer = coarsefine("run", "small.toml", "--workers", 4, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert table(folder / "studies.db") == table(folder / "one.db")


def test_killed_worker_is_replaced_at_once(folder, expected):
    """A worker killed amid its stack is replaced; the campaign ends as if it had lived."""
    process = start(folder, "--workers", "2")
    wait_until(lambda: epochs_recorded(folder) > 4 and len(workers_of(process)) == 2)
    victim = workers_of(process)[0]
    victim.kill()
    wait_until(lambda: len(workers_of(process)) == 2 and victim.pid not in {w.pid for w in workers_of(process)})
    code, told = end_of(process)
    assert code == 0, told
    assert "was killed by SIGKILL: its trials are released, and it is restarted" in told
    assert table(folder / "studies.db") == expected


def test_workers_killed_again_and_again(folder, expected):
    """Kill after kill, the run that keeps the workers going ends with the same trials and values."""
    process = start(folder, "--workers", "3")
    kills = 0
    while process.poll() is None and kills < 6:
        before = ended(folder)
        wait_until(lambda before=before: ended(folder) > before or process.poll() is not None)
        for worker in workers_of(process)[:1]:
            worker.kill()
            kills += 1
    assert kills >= 3
    code, told = end_of(process)
    assert code == 0, told
    assert table(folder / "studies.db") == expected


def test_workers_leave_when_their_run_is_killed(folder, expected):
    """Where the run itself is killed, its workers end by themselves and leave no slot behind; the next run goes on."""
    process = start(folder, "--workers", "2")
    wait_until(lambda: epochs_recorded(folder) > 4)
    workers = workers_of(process)
    process.kill()
    process.communicate()
    assert len(workers) == 2
    gone, alive = psutil.wait_procs(workers, timeout=240)
    assert (len(gone), alive) == (2, [])
    assert counted(folder, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == 0
    finish(folder)
    assert table(folder / "studies.db") == expected


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_ends_its_workers(folder, expected, kind):
    """Ctrl-C, which reaches the whole terminal, and SIGTERM end run and workers after their epoch; slots go back."""
    process = start(folder, "--workers", "2", start_new_session=True)
    wait_until(lambda: both_train(folder))
    workers = workers_of(process)
    os.killpg(process.pid, kind) if kind == signal.SIGINT else process.send_signal(kind)
    code, told = end_of(process)
    assert code == 130, told
    assert told.strip().splitlines()[-1].endswith("-m coarsefine run small.toml --workers 2")
    assert "ended with" not in told
    assert not any(worker.is_running() for worker in workers)
    assert not any("Traceback" in log for log in logs_of(folder))
    assert all("ended: " in log.splitlines()[-1] for log in logs_of(folder))
    assert counted(folder, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == 0
    finish(folder)
    assert table(folder / "studies.db") == expected


def told_to_stop(worker):
    """Tell whether a suspended process has SIGTERM waiting for it."""
    status = Path(f"/proc/{worker.pid}/status").read_text("ascii")
    pending = int(status.partition("ShdPnd:")[2].split()[0], 16)
    return bool(pending & 1 << signal.SIGTERM - 1)


@pytest.mark.skipif(sys.platform != "linux", reason="what waits for a process is told by Linux alone")
def test_second_interrupt_stops_at_once(folder):
    """Ctrl-C a second time does not wait for the epoch; nothing is left running, and the command to go on is told."""
    process = start(folder, "--workers", "2", start_new_session=True)
    wait_until(lambda: both_train(folder))
    workers = workers_of(process)
    wait_until(lambda: suspended(workers, folder / "studies.db"))  # as in an epoch that takes for ever
    process.send_signal(signal.SIGINT)
    wait_until(lambda: all(told_to_stop(worker) for worker in workers))
    assert process.poll() is None, "the first waits for the epoch"
    process.send_signal(signal.SIGINT)
    code, told = end_of(process)
    assert code == 130, told
    assert "To resume: " in told
    assert not any(worker.is_running() for worker in workers)


BROKEN = """
import os, sys
if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    {how}
"""
WORKERS_CRASH = "import multiprocessing.process as it; it.BaseProcess._bootstrap = lambda *_, **__: os._exit(7)"
NEWBORN_WORKERS_CRASH = "os.register_at_fork(after_in_child=lambda: os._exit(7))"
FIRST_WORKER_CRASHES = (
    """os.register_at_fork(after_in_child=lambda: os.path.exists("born") or (os.mkdir("born"), os._exit(7)))"""
)
SERVER_CRASHES = "print('this machine is broken', file=sys.stderr); os._exit(7)"


def run_broken(tmp_path, how):
    """Run with two workers on a machine that has something broken; return the folder and the answer."""
    folder = write_campaign(tmp_path)
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(BROKEN.format(how=how), "utf-8")
    # An environment too long for a pipe: whoever sends it to a worker hears for certain if that is dead already.
    environment = {"PYTHONPATH": f"{site}:{Path.cwd()}", "LONG": "x" * 100_000}
    return folder, coarsefine_process("run", "small.toml", "--workers", 2, cwd=folder, env=environment)


def test_workers_that_crash_at_start_are_not_replaced_for_ever(tmp_path):
    """Where workers die before they can begin, the run ends soon and names the log; it can be resumed."""
    folder, answer = run_broken(tmp_path, WORKERS_CRASH)
    assert answer.returncode == 1
    assert re.search(r"ended with exit code 7 3 times in a row .*: see .*worker-\d\.log\.", answer.stderr), (
        answer.stderr
    )
    assert "Traceback" not in answer.stderr
    finish(folder)


def test_worker_that_dies_as_it_is_born_is_replaced(tmp_path):
    """A worker killed before it has even heard what it is to do costs nothing but its start."""
    folder, answer = run_broken(tmp_path, FIRST_WORKER_CRASHES)
    assert answer.returncode == 0, answer.stderr
    assert (folder / "born").is_dir(), "none died"
    run(Campaign.load(folder / "small.toml"), folder / "calm.db")
    assert table(folder / "studies.db") == table(folder / "calm.db")


@pytest.mark.parametrize("how", [NEWBORN_WORKERS_CRASH, SERVER_CRASHES], ids=["worker", "server"])
def test_machine_that_can_start_no_worker(tmp_path, how):
    """Where no process can be started at all, the run ends with one sentence that offers what works without."""
    folder, answer = run_broken(tmp_path, how)
    assert answer.returncode == 1
    assert "worker-1 did not start" in answer.stderr
    assert "worker-1 cannot be started" in answer.stderr
    assert "--workers 1" in answer.stderr
    assert "Traceback" not in answer.stderr
    finish(folder)


def test_error_of_a_worker_is_the_runs(tmp_path):
    """Where no trial completes, the run ends with the worker's sentence and its exit code, as with one worker."""
    folder = write_campaign(tmp_path, stage=DIVERGING)
    answer = coarsefine("run", "small.toml", "--workers", 2, cwd=folder)
    assert answer.returncode == 3
    assert "9 diverged" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_worker_joins_and_leaves(folder, expected):
    """`worker` helps a run that another terminal started, by the campaign's name alone, and may leave at any time."""
    process = start(folder, "--workers", "1")
    wait_until(lambda: slots(folder) > 0)
    runner = psutil.Process(process.pid)
    wait_until(lambda: suspended([runner], folder / "studies.db"))  # else all might be done before the others came
    command = [sys.executable, "-m", "coarsefine", "worker", "small"]
    helper = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    leaver = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    assert signal_once(leaver, signal.SIGINT, lambda: counted(folder, "SELECT count(DISTINCT pid) FROM lease") > 1)
    _, told = leaver.communicate(timeout=240)
    assert (leaver.returncode, "Left; the slots were given back." in told) == (130, True), told
    runner.resume()
    for running in (process, helper):
        _, told = running.communicate(timeout=240)
        assert running.returncode == 0, told
    assert table(folder / "studies.db") == expected


def test_run_in_python_takes_workers(folder, expected):
    """`run(…, workers=2)` does in Python what the command does, and can be stopped and resumed."""
    campaign = Campaign.load(folder / "small.toml")
    with pytest.raises(Interrupted):
        run(campaign, folder / "studies.db", workers=2, stop=lambda: epochs_recorded(folder) > 4)
    status = run(campaign, folder / "studies.db", workers=2)
    assert status.state == "done"
    assert table(folder / "studies.db") == expected


@pytest.mark.parametrize(("base", "changes"), [("small", LONG), ("halving", LONG_HALVING)], ids=["plain", "halving"])
def test_killed_amid_long_trials_goes_on_from_where_they_were(tmp_path, monkeypatch, base, changes):
    """All processes killed once a worker has kept weights: the next run goes on after that epoch, to the same bits."""
    monkeypatch.setenv("COARSEFINE_CACHE", str(tmp_path / "cache"))
    folder = write_campaign(tmp_path, base, **changes)
    run(Campaign.load(folder / "small.toml"), folder / "calm.db")
    process = start(folder, "--workers", "2")
    wait_until(lambda: any(tmp_path.glob("cache/unfinished/*/*.checkpoint")))
    for one in [*psutil.Process(process.pid).children(recursive=True), process]:
        one.send_signal(signal.SIGKILL)
    process.communicate()
    answer = coarsefine("run", "small.toml", "--workers", 2, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert table(folder / "studies.db") == table(folder / "calm.db")
    assert " after epoch " in "".join(log.read_text("utf-8") for log in folder.glob("logs/small/*.log"))
    assert not any(tmp_path.glob("cache/unfinished/*"))
