"""Start runs in processes of their own, and send them real signals at moments that the storage shows."""

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from contextlib import closing, suppress

import psutil
from commands import coarsefine
from forked import PATIENCE, Forked, run_command, started
from optuna.trial import TrialState
from stored import ended

from coarsefine import Campaign, run
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import create_storage
from coarsefine.search.storage.slots import Record
from coarsefine.search.training import recorder


def start_command(*command, cwd, **options):
    """Start a program with pipes for its output; `end_all` kills it if it still runs after the test."""
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started.append(subprocess.Popen(list(map(str, command)), cwd=cwd, **piped, **options))
    return started[-1]


def start(folder, *arguments, **options):
    """Start a run of the folder's small.toml, in one process unless arguments are given."""
    return Forked(run_command, "run", "small.toml", *(arguments or ("--workers", "1")), cwd=folder, **options)


def start_pausing(folder, question):
    """Start a run that suspends itself (SIGSTOP) at its `question`th call of `stop`; return it suspended.

    A run calls `stop` before each stack and after each epoch, so that the moment does not depend on the load.
    """
    process = Forked(_pause, question, cwd=folder)
    wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    return process


def _pause(question):
    asked = itertools.count(1)

    def stop():
        return next(asked) == question and os.kill(os.getpid(), signal.SIGSTOP)

    run(Campaign.load("small.toml"), "studies.db", stop=stop)


def start_pausing_workers(folder, epoch):
    """Start a run of two workers that save each epoch, and suspend themselves after one; return it with both suspended.

    The run itself goes on.
    """
    process = Forked(_pause_workers, epoch, cwd=folder)
    wait_until(lambda: [worker.status() for worker in workers_of(process)] == [psutil.STATUS_STOPPED] * 2)
    return process


def _pause_workers(epoch):
    recorder._SAVE_SECONDS = recorder._SAVE_FACTOR = 0
    save, saved = recorder.Recorder.save, itertools.count(1)

    def save_and_pause(self):
        save(self)
        if next(saved) == epoch:
            os.kill(os.getpid(), signal.SIGSTOP)

    recorder.Recorder.save = save_and_pause
    run_command("run", "small.toml", "--workers", "2")


def start_dying(folder, moment):
    """Start a run that kills itself before or after it creates its database, or in its first stack."""
    return Forked(_die, moment, cwd=folder)


def _die(moment):
    link, asked = os.link, itertools.count(1)

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    def link_and_die(new, path):
        if moment == "file filled":
            kill()
        link(new, path)
        if moment == "file made":
            kill()

    if moment.startswith("file"):
        os.link = link_and_die
    run(Campaign.load("small.toml"), "studies.db", stop=lambda: next(asked) == 20 and kill())


def end_all():
    """Kill every process that was started here and still runs, with its children; close its pipes."""
    for process in started:
        if process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            process.kill()
        process.wait()
        for pipe in filter(None, (process.stdout, process.stderr)):
            pipe.close()
    started.clear()


def end_of(process):
    """Wait for a process; return its exit code and its stderr."""
    _, err = process.communicate(timeout=PATIENCE)
    return process.returncode, err


def dead():
    """Return the process number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def finish(folder):
    """Run the folder's small.toml to its end."""
    answer = coarsefine("run", "small.toml", "--workers", 1, cwd=folder)
    assert answer.returncode == 0, answer.stderr


def signal_once(process, kind, reached):
    """Send a signal as soon as `reached` returns True; return False if the process ended before."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None:
        assert time.monotonic() < deadline, "the run neither ended nor reached the condition"
        if reached():
            process.send_signal(kind)
            return True
        time.sleep(0.002)
    return False


def wait_until(reached):
    """Wait until `reached` returns True; fail after PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "the condition was not reached"
        time.sleep(0.005)


def suspended(processes, path):
    """Suspend processes (psutil's); return whether none of them locks the database, otherwise resume them."""
    for process in processes:
        process.suspend()
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            for process in processes:
                process.resume()
            return False
    return True


def kill_repeatedly(folder, *, processes, kills):
    """Keep `processes` runs going; kill one after another, each when a trial has ended since the last kill."""
    running = [start(folder) for _ in range(processes)]
    killed = 0
    while killed < kills and running[0].poll() is None:
        before = ended(folder)
        victim = running.pop(0)
        killed += signal_once(victim, signal.SIGKILL, lambda before=before: ended(folder) > before)
        victim.communicate()
        running.append(start(folder))
    for process in running:
        process.communicate(timeout=PATIENCE)
    return killed


def race(address, slots, space, barrier, results):
    """Create the tables, the study and the slots together with other processes; claim and complete slots.

    Put the numbers of the slots into `results`, or the error as text.
    """
    try:
        results.put(_raced(address, slots, space, barrier))
    except BaseException:
        results.put(traceback.format_exc())
        raise


def _raced(address, slots, space, barrier):
    barrier.wait(PATIENCE)
    storage = create_storage(locate(address))
    storage.open_study("small/race", {}, space, slots)
    study = storage.get_study_id_from_name("small/race")
    barrier.wait(PATIENCE)
    done = []
    while claims := storage.queue.claim(study, 4):
        storage.queue.record([Record(claim, {1: 0.5}, 0.5, {}, TrialState.COMPLETE) for claim in claims], claims)
        done += [claim.slot.number for claim in claims]
    storage.close()
    return done


def workers_of(process):
    """Return the living worker processes of a run: the children of its fork server."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for helper in psutil.Process(process.pid).children():
            with suppress(psutil.NoSuchProcess):  # a process that has ended has no children
                found += [child for child in helper.children() if child.status() != psutil.STATUS_ZOMBIE]
    return found
