"""Start runs in processes of their own, and send them real signals at moments that the storage shows.

The processes are forked from a server that has imported the packages, which takes a second of each new interpreter.
"""

import itertools
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from multiprocessing import get_context

import psutil
from commands import coarsefine
from optuna.trial import TrialState
from stored import ended

from coarsefine import Campaign, run
from coarsefine import __main__ as coarsefine_main
from coarsefine.search.cli import main
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import create_storage
from coarsefine.search.storage.slots import Record

FORKING = get_context("forkserver")
FORKING.set_forkserver_preload(["coarsefine.search.engine.run", "alembic.migration", "alembic.script", "rich", "typer"])
PATIENCE = 240
"""Seconds that a test waits for events that take one or two on an idle machine; pytest's limit is little longer."""
_started = []


def start_command(*command, cwd, **options):
    """Start a program with pipes for its output; `end_all` kills it if it still runs after the test."""
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    _started.append(subprocess.Popen(list(map(str, command)), cwd=cwd, **piped, **options))
    return _started[-1]


class Forked:
    """A forked process that calls a function of a module of the tests; it has the interface of `subprocess.Popen`."""

    def __init__(self, function, *arguments, cwd, env=None, start_new_session=False):
        self.stdout, self.stderr = (tempfile.NamedTemporaryFile() for _ in range(2))  # noqa: SIM115 - `end_all` does
        files = (self.stdout.name, self.stderr.name)
        target = (function, arguments, cwd, files, dict(os.environ if env is None else env), start_new_session)
        self._process = FORKING.Process(target=_call, args=target)
        self._process.start()
        self.pid = self._process.pid
        _started.append(self)

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self.returncode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return self.returncode

    def communicate(self, timeout=None):
        self.wait(timeout)
        return self.stdout.read().decode(), self.stderr.read().decode()

    def send_signal(self, kind):
        if self.poll() is None:
            os.kill(self.pid, kind)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def _call(function, arguments, cwd, files, environment, start_new_session):
    """Call a function in a process that was just forked, as if the process had been started for it."""
    if start_new_session:
        os.setsid()
    for number, name in enumerate(files, 1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    function(*arguments)


def run_command(*arguments):
    """Run a command as `python -m coarsefine` does."""
    sys.argv = [coarsefine_main.__file__, *map(str, arguments)]
    main()


def run_on_full_disk(size, *arguments):
    """Run a command whose files cannot grow beyond a size in bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    run_command(*arguments)


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
    for process in _started:
        if process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            process.kill()
        process.wait()
        for pipe in filter(None, (process.stdout, process.stderr)):
            pipe.close()
    _started.clear()


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
    """Create the tables, the study and the slots together with other processes; claim and complete slots."""
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
    results.put(done)


def workers_of(process):
    """Return the living worker processes of a run: the children of its fork server."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for helper in psutil.Process(process.pid).children():
            with suppress(psutil.NoSuchProcess):  # a process that has ended has no children
                found += [child for child in helper.children() if child.status() != psutil.STATUS_ZOMBIE]
    return found
