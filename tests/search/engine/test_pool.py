"""Test several workers on one machine: they record the same values, are replaced, and end with their run."""

import os
import re
import signal
import sys
from multiprocessing import current_process
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from campaigns import DIVERGING, write_campaign
from commands import coarsefine, coarsefine_process
from forked import Forked, run_command
from processes import end_of, finish, signal_once, start, start_pausing_workers, suspended, wait_until, workers_of
from stored import counted, ended, epochs_recorded, slots, table

from coarsefine import Campaign, Interrupted, Observer, UsageError, run
from coarsefine.search.engine import worker_pool

CHECKPOINTED = {
    "small": {"model": {"epochs": 8}, "stage": {"coarse": {"trials": 4, "stack": 2}, "fine": None}},
    "halving": {"model": {"epochs": 8}, "stage": {"coarse": {"trials": 4, "stack": 2, "rungs": [5]}, "fine": None}},
}
"""Changes of campaigns after which two workers train a stack each."""


def logs_of(folder):
    return [path.read_text("utf-8") for path in folder.glob("logs/small/*.log")]


def both_train(folder):
    """Return whether two workers have claimed slots and more than four epochs are recorded."""
    return sum("claimed trial" in log for log in logs_of(folder)) == 2 and epochs_recorded(folder) > 4


def test_number_of_workers_changes_no_value(folder, expected, address):
    """On each database, three workers record the same values at every epoch as one worker."""
    answer = coarsefine("run", "small.toml", "--workers", 3, "--storage", address, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert table(address) == expected
    logs = sorted(path.name for path in folder.glob("*logs/small/*"))
    assert logs == [f"worker-{n}.log" for n in (1, 2, 3)]


def test_script_without_a_guard_is_told_to_have_one(small, tmp_path, monkeypatch):
    """A worker that imports the script and so starts the run again ends at once, and the run says what is missing."""

    def leave(code):
        raise SystemExit(code)

    with (
        monkeypatch.context() as patch
    ):  # as in a process that multiprocessing has started, while it imports the script
        patch.setattr(current_process(), "_inheriting", True, raising=False)
        patch.setattr(os, "_exit", leave)
        with pytest.raises(SystemExit) as ended_by:
            run(small, tmp_path / "studies.db", workers=2)
    assert not (tmp_path / "studies.db").exists()
    dead = SimpleNamespace(exitcode=ended_by.value.code)
    pool = worker_pool.WorkerPool(None, Observer(), lambda: False)
    with pytest.raises(UsageError, match='put that line below `if __name__ == "__main__":`, or give workers=1'):
        pool._restart(worker_pool._PoolWorker("worker-1", dead, None))


def test_killed_workers_are_replaced_and_record_the_same_values(folder, expected):
    """Each worker that is killed while it trains is replaced, and the campaign records the same values."""
    process = start(folder, "--workers", "2")
    for _ in range(2):
        before = ended(folder)
        wait_until(lambda before=before: ended(folder) > before and len(workers_of(process)) == 2)
        victim = workers_of(process)[0]
        victim.kill()
        wait_until(lambda pid=victim.pid: len({worker.pid for worker in workers_of(process)} - {pid}) == 2)
    code, stderr = end_of(process)
    assert code == 0, stderr
    assert stderr.count("was killed by SIGKILL: its trials are released, and it is restarted") == 2
    assert table(folder / "studies.db") == expected


def test_workers_end_when_their_run_is_killed(folder, expected):
    """The workers of a killed run end by themselves and release their slots; the next run resumes."""
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


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_run_ends_its_workers(folder, expected, kind):
    """Ctrl-C, SIGTERM and a closed terminal end the run and its workers after the epoch, and release the slots."""
    process = start(folder, "--workers", "2", start_new_session=True)
    wait_until(lambda: both_train(folder))
    workers = workers_of(process)
    process.send_signal(kind) if kind == signal.SIGTERM else os.killpg(process.pid, kind)
    code, stderr = end_of(process)
    assert code == 130, stderr
    assert stderr.strip().splitlines()[-1].endswith("-m coarsefine run small.toml --workers 2")
    assert "ended with" not in stderr
    assert not any(worker.is_running() for worker in workers)
    assert not any("Traceback" in log for log in logs_of(folder))
    assert all("ended: " in log.splitlines()[-1] for log in logs_of(folder))
    assert counted(folder, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == 0
    assert counted(folder, "SELECT count(*) FROM lease WHERE deaths > 0") == 0
    finish(folder)
    assert table(folder / "studies.db") == expected


def test_worker_that_is_hung_up_is_replaced_and_blames_no_trial(folder, expected):
    """SIGHUP for a worker stops it in order: its trials are released without a death, and it is replaced."""
    process, hung_up = start(folder, "--workers", "2"), 0

    def reached(condition):
        """Wait for a condition; return False if the run has ended before."""
        wait_until(lambda: process.poll() is not None or condition())
        return process.poll() is None

    for _ in range(4):
        before = ended(folder)
        if not reached(lambda before=before: ended(folder) > before and len(workers_of(process)) == 2):
            break
        if not (workers := workers_of(process)):
            break
        workers[0].send_signal(signal.SIGHUP)
        hung_up += 1
        reached(lambda pid=workers[0].pid: len({worker.pid for worker in workers_of(process)} - {pid}) == 2)
        assert counted(folder, "SELECT count(*) FROM lease WHERE deaths > 0") == 0
    assert hung_up > 0
    code, stderr = end_of(process)
    assert code == 0, stderr
    assert table(folder / "studies.db") == expected


def has_pending_sigterm(worker):
    """Return whether SIGTERM waits for a suspended process."""
    status = Path(f"/proc/{worker.pid}/status").read_text("ascii")
    pending = int(status.partition("ShdPnd:")[2].split()[0], 16)
    return bool(pending & 1 << signal.SIGTERM - 1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the pending signals of a process")
def test_second_interrupt_stops_at_once(folder):
    """A second Ctrl-C ends the workers without waiting for the epoch, and prints the command that resumes."""
    process = start(folder, "--workers", "2", start_new_session=True)
    wait_until(lambda: both_train(folder))
    workers = workers_of(process)
    wait_until(lambda: suspended(workers, folder / "studies.db"))  # as in an epoch that never ends
    process.send_signal(signal.SIGINT)
    wait_until(lambda: all(has_pending_sigterm(worker) for worker in workers))
    assert process.poll() is None, "the first Ctrl-C waits for the epoch"
    process.send_signal(signal.SIGINT)
    code, stderr = end_of(process)
    assert code == 130, stderr
    assert "To resume: " in stderr
    assert not any(worker.is_running() for worker in workers)


BROKEN = """
import os, sys
if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
    {how}
"""
WORKERS_CRASH = "import multiprocessing.process as it; it.BaseProcess._bootstrap = lambda *_, **__: os._exit(7)"
WORKERS_CRASH_AFTER_FORK = "os.register_at_fork(after_in_child=lambda: os._exit(7))"
FIRST_WORKER_CRASHES = (
    """os.register_at_fork(after_in_child=lambda: os.path.exists("crashed") or (os.mkdir("crashed"), os._exit(7)))"""
)
SERVER_CRASHES = "print('this machine is broken', file=sys.stderr); os._exit(7)"


def run_broken(tmp_path, how):
    """Run two workers on a machine where `how` breaks something; return the folder and the answer."""
    folder = write_campaign(tmp_path)
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(BROKEN.format(how=how), "utf-8")
    # The environment is longer than a pipe holds, so that sending it to a dead worker fails for certain.
    environment = {"PYTHONPATH": f"{site}:{Path.cwd() / 'src'}", "LONG": "x" * 100_000}
    return folder, coarsefine_process("run", "small.toml", "--workers", 2, cwd=folder, env=environment)


def test_workers_that_crash_at_start_end_the_run(tmp_path):
    """If workers crash at their start, the run ends after three attempts, names no log without one, and can resume."""
    folder, answer = run_broken(tmp_path, WORKERS_CRASH)
    assert answer.returncode == 1
    assert re.search(r"ended with exit code 7 3 times in a row .*: it has no log yet, see the mes", answer.stderr), (
        answer.stderr
    )
    assert ".log" not in answer.stderr
    assert "Traceback" not in answer.stderr
    finish(folder)


def test_worker_that_crashes_after_the_fork_is_replaced(tmp_path):
    """A worker that crashes before it receives its task is replaced, and nothing is lost."""
    folder, answer = run_broken(tmp_path, FIRST_WORKER_CRASHES)
    assert answer.returncode == 0, answer.stderr
    assert (folder / "crashed").is_dir(), "no worker crashed"
    run(Campaign.load(folder / "small.toml"), folder / "expected.db")
    assert table(folder / "studies.db") == table(folder / "expected.db")


@pytest.mark.parametrize("how", [WORKERS_CRASH_AFTER_FORK, SERVER_CRASHES], ids=["worker", "server"])
def test_machine_that_cannot_start_workers(tmp_path, how):
    """If no process can be started, the run ends with a message that suggests `--workers 1`."""
    _, answer = run_broken(tmp_path, how)
    assert answer.returncode == 1
    assert "worker-1 did not start" in answer.stderr
    assert "worker-1 cannot be started" in answer.stderr
    assert "--workers 1" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_worker_that_a_stop_kills_at_its_start(tmp_path):
    """If a stop kills a worker while it starts, the pool says nothing about the worker, and the run is interrupted."""
    folder, messages = write_campaign(tmp_path), []

    class Recording(Observer):
        def on_message(self, sentence):
            messages.append(sentence)

    def killed(_):
        raise EOFError("unexpected EOF")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_pool._CONTEXT.Process, "start", killed)
        with pytest.raises(Interrupted, match="Stopped while worker-1 was starting"):
            run(
                Campaign.load(folder / "small.toml"), folder / "studies.db",
                workers=2, observer=Recording(), stop=lambda: True,
            )  # fmt: skip
    assert not [sentence for sentence in messages if "worker" in sentence]


def test_run_ends_with_the_error_of_its_worker(tmp_path):
    """If no trial completes, the run ends with the worker's message and its exit code."""
    folder = write_campaign(tmp_path, stage=DIVERGING)
    answer = coarsefine("run", "small.toml", "--workers", 2, cwd=folder)
    assert answer.returncode == 3
    assert "9 diverged" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_worker_joins_and_leaves(folder, expected):
    """`coarsefine worker NAME` joins a run of another terminal, and may leave at any time."""
    process = start(folder, "--workers", "1")
    wait_until(lambda: slots(folder) > 0)
    runner = psutil.Process(process.pid)
    wait_until(lambda: suspended([runner], folder / "studies.db"))  # else the run might end before the others join
    helper, leaver = (Forked(run_command, "worker", "small", cwd=folder) for _ in range(2))
    assert signal_once(leaver, signal.SIGINT, lambda: counted(folder, "SELECT count(DISTINCT pid) FROM lease") > 1)
    _, stderr = leaver.communicate(timeout=240)
    assert (leaver.returncode, "Left; the slots were given back." in stderr) == (130, True), stderr
    runner.resume()
    for running in (process, helper):
        _, stderr = running.communicate(timeout=240)
        assert running.returncode == 0, stderr
    assert table(folder / "studies.db") == expected


def test_run_accepts_workers(folder, expected):
    """`run(…, workers=2)` trains with two workers, and can be stopped and resumed."""
    campaign = Campaign.load(folder / "small.toml")
    with pytest.raises(Interrupted):
        run(campaign, folder / "studies.db", workers=2, stop=lambda: epochs_recorded(folder) > 4)
    status = run(campaign, folder / "studies.db", workers=2)
    assert status.state == "done"
    assert table(folder / "studies.db") == expected


@pytest.mark.parametrize("base", CHECKPOINTED)
def test_killed_run_resumes_trials_from_their_checkpoints(tmp_path, monkeypatch, base):
    """A run that is killed after a worker saved checkpoints resumes from them and records the same values."""
    monkeypatch.setenv("COARSEFINE_CACHE", str(tmp_path / "cache"))
    folder = write_campaign(tmp_path, base, **CHECKPOINTED[base])
    run(Campaign.load(folder / "small.toml"), folder / "expected.db")
    process = start_pausing_workers(folder, epoch=3)
    for one in [*psutil.Process(process.pid).children(recursive=True), process]:
        one.send_signal(signal.SIGKILL)
    process.communicate()
    answer = coarsefine("run", "small.toml", "--workers", 2, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert table(folder / "studies.db") == table(folder / "expected.db")
    assert " after epoch " in "".join(log.read_text("utf-8") for log in folder.glob("logs/small/*.log"))
    assert not any(tmp_path.glob("cache/unfinished/*"))
