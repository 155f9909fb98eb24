"""Run commands and scripts in processes of their own without a new interpreter, which takes seconds to import all.

The processes are forked from a server that has imported the packages. A run in such a process forks the server of its
workers from itself. Tests of the start itself use `commands.coarsefine_process`.
"""

import gc
import itertools
import os
import resource
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing import process, util
from pathlib import Path

from commands import Answer

from coarsefine import __main__ as coarsefine_main
from coarsefine.search.cli import main
from coarsefine.search.engine import worker_pool
from coarsefine.search.storage import dialect

FORKING = worker_pool._CONTEXT
FORKING.set_forkserver_preload(
    [
        "coarsefine.search.engine.run", "coarsefine.search.cli", "coarsefine.model.datasets.digits",
        "optuna_revisions", "alembic.migration", "alembic.script", "rich", "typer", "psutil", "tomlkit",
        "sklearn.datasets", "sklearn.linear_model", "sklearn.model_selection", "sklearn.svm",
    ]
)  # fmt: skip
PATIENCE = 240
"""Seconds that a test waits for events that take one or two on an idle machine; pytest's limit is little longer."""
started = []
"""The processes of the current test, which `processes.end_all` ends."""
_spawn = util.spawnv_passfds


class Forked:
    """A forked process that calls a function of a module of the tests; it has the interface of `subprocess.Popen`.

    `packages` are folders that are put on Python's path, and `merged` writes stderr to stdout.
    """

    def __init__(
        self, function, *arguments, cwd, env=None, packages=(), start_new_session=False, merged=False
    ):  # fmt: skip
        self.stdout, self.stderr = (tempfile.NamedTemporaryFile() for _ in range(2))  # noqa: SIM115 - `end_all` does
        files = (self.stdout.name, self.stdout.name if merged else self.stderr.name)
        environment = dict(os.environ if env is None else env)
        target = (function, arguments, cwd, files, environment, [*map(str, packages)], start_new_session)
        self._process = FORKING.Process(target=_call, args=target)
        with worker_pool._single_threaded_blas():
            self._process.start()
        self.pid = self._process.pid
        started.append(self)

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


def forked_command(*arguments, cwd, env=None, packages=()):
    """Run a command where the packages of some folders are installed, with variables set; return its answer.

    Network settings of packages are not found: they are looked for when Coarsefine is imported.
    """
    environment = {name: value for name, value in os.environ.items() if name != "COARSEFINE_DATA"} | (env or {})
    process = Forked(run_command, *arguments, cwd=cwd, env=environment, packages=packages)
    return Answer(process.wait(PATIENCE), *process.communicate())


def run_command(*arguments):
    """Run a command as `python -m coarsefine` does."""
    sys.argv = [coarsefine_main.__file__, *map(str, arguments)]
    main()


def run_program(*arguments):
    """Run a command as the installed program does on a machine with one core, where a run starts no further process."""
    os.sched_getaffinity = lambda _: {0}
    sys.argv = [str(Path(sys.executable).with_name("coarsefine")), *map(str, arguments)]
    main()


def run_script(path, *arguments):
    """Run a script as `python PATH` does."""
    sys.argv = [str(path), *map(str, arguments)]
    runpy.run_path(str(path), run_name="__main__")


def run_module(name, *arguments):
    """Run a module as `python -m NAME` does."""
    process._parent_process = None  # a process that was started for it is no child of `multiprocessing`
    sys.argv = [name, *map(str, arguments)]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def run_on_full_disk(size, *arguments):
    """Run a command whose files cannot grow beyond a size in bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    run_command(*arguments)


def run_ignoring_hangup(*arguments):
    """Run a command as `nohup` does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run_command(*arguments)


def run_ten_minutes_ahead(*arguments):
    """Run a command on a machine whose clock is ten minutes ahead; no clock that only measures is changed."""
    real, key = time.time, (dialect.Now, "sqlite")
    time.time = lambda: real() + 600
    dialect._CLOCKS[key] = f"({dialect._CLOCKS[key]} + 600)"
    run_command(*arguments)


def _call(function, arguments, cwd, files, environment, packages, start_new_session):
    """Call a function in a process that was just forked, as if the process had been started for it."""
    if start_new_session:
        os.setsid()
    for number, name in enumerate(files, 1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.path[:0] = packages
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGHUP})
    util.spawnv_passfds = _start
    function(*arguments)


def _start(path, arguments, descriptors):
    """Start a fork server as a fork of this process, in place of `multiprocessing`'s new interpreter.

    Other programs start as always, and so does the server of a process with threads, whose locks a fork would copy.
    """
    if "multiprocessing.forkserver" not in arguments[-1] or threading.active_count() > 1:
        return _spawn(path, arguments, descriptors)
    if pid := os.fork():
        return pid
    try:
        gc.freeze()  # what has a file here must not close it: its number may be another file's
        _close_others(descriptors)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for kind in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(kind, signal.SIG_DFL)
        exec(arguments[-1], {})  # noqa: S102 - as the new interpreter would
    except Exception:  # noqa: BLE001 - shown, as a new interpreter does
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(0)


def _close_others(descriptors):
    """Close what a new program would not have: all files but these and the standard streams, 0 to 2."""
    bounds = [2, *sorted(descriptors), os.sysconf("SC_OPEN_MAX")]
    for before, after in itertools.pairwise(bounds):
        os.closerange(before + 1, after)
