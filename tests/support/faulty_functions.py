"""Training functions with a fault each, as users write them by mistake, and how their trials end.

A campaign of `one_fault_each` has a trial for each fault: a trial's number chooses its fault.
"""

import asyncio
import atexit
import ctypes
import decimal
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from coarsefine import batched

HALF = 0.5
SECONDS = 600
"""How long what should be killed would last."""


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class Unpicklable(Exception):
    def __init__(self, first, second):
        super().__init__(first)
        self.lock = threading.Lock()

    def __reduce__(self):
        raise TypeError("cannot be pickled")


class RaisesAsNumber:
    def __init__(self, error):
        self.error = error

    def __float__(self):
        raise self.error

    def __repr__(self):
        raise self.error


def raises(error):
    def fault(report):
        raise error

    return fault


def returns(value):
    return lambda report: value


def prints_megabytes(report):
    for _ in range(20):
        print("x" * 200_000)
        print("\r50%|####", end="", file=sys.stderr)
    os.write(1, b"below Python\n")
    return HALF


def closes_streams(report):
    sys.stdout.close()
    os.close(1)
    os.close(2)
    return HALF


def closes_all_files(report):
    os.closerange(0, 256)
    return HALF


def changes_place(report):
    os.chdir("/")
    os.environ["PATH"] = ""
    os.environ["COARSEFINE_TEST"] = "changed"
    sys.stdout = None
    return HALF


def finds_place(report):
    """Run after `changes_place`."""
    changed = os.environ.get("COARSEFINE_TEST") or not os.environ["PATH"] or Path.cwd() == Path("/")
    print("the stream is there")
    return 0.0 if changed else HALF


def segfaults(report):
    ctypes.string_at(0)


def blocks(point, seed, report):
    """Block in a call of a C library that Python cannot interrupt."""
    ctypes.PyDLL(None).sleep(SECONDS)


def ignores_signals(report):
    for kind in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(kind, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    return HALF


def leaves_children(report):
    """Leave a child, one in a session of its own, and a forked one; note their numbers."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = [subprocess.Popen(["sleep", str(SECONDS)], start_new_session=own, **quiet).pid for own in (False, True)]
    if (pid := os.fork()) == 0:
        time.sleep(SECONDS)
        os._exit(0)
    (report.folder / "left").write_text(json.dumps([*started, pid]), "utf-8")
    return HALF


def leaves_thread(report):
    threading.Thread(target=time.sleep, args=(SECONDS,)).start()
    return HALF


def child_returns(report):
    """Fork a child that comes back from the function, as a fork by mistake does."""
    if (pid := os.fork()) == 0:
        sys.exit(3)
    return HALF if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3 else 0.0


def uses_pool(report):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return sum(pool.map(float, [HALF, 0])) + 0.0


def uses_main_thread(report):
    signal.signal(signal.SIGUSR1, lambda *_: None)

    async def value():
        return HALF

    return asyncio.run(value())


def exits_badly_later(report):
    atexit.register(lambda: 1 / 0)
    return HALF


def is_daemon(report):
    return 0.0 if multiprocessing.current_process().daemon else HALF


NO_NUMBER = "its value of epoch 1 is {}, no number"
FAULTS = [
    (prints_megabytes, None),
    (closes_streams, None),
    (closes_all_files, "closed the connection to its worker: your code may close only the files that it has opened"),
    (changes_place, None),
    (finds_place, None),
    (raises(SystemExit(0)), r"SystemExit: 0 \(faulty_functions.py, line \d+\)"),
    (lambda report: os._exit(0), "its process ended with exit code 0"),
    (lambda report: os._exit(7), "its process ended with exit code 7"),
    (segfaults, r"its process was killed by signal 11 \(SIGSEGV\)"),
    (lambda report: os.abort(), r"its process was killed by signal 6 \(SIGABRT\)"),
    (ignores_signals, None),
    (leaves_children, None),
    (leaves_thread, None),
    (child_returns, None),
    (uses_pool, None),
    (uses_main_thread, None),
    (exits_badly_later, None),
    (is_daemon, None),
    (
        raises(Unprintable()),
        r"Unprintable: its message cannot be printed, RuntimeError \(faulty_functions.py, line \d+\)",
    ),
    (raises(Unpicklable("a", "b")), r"Unpicklable: a \(faulty_functions.py, line \d+\)"),
    (raises(KeyboardInterrupt()), r"KeyboardInterrupt \(faulty_functions.py, line \d+\)"),
    (raises(ValueError("\ud800 \0 \x1b[2J" + 10_000 * "long ")), r"ValueError: \? \[2Jlong .* … \(faulty.*"),
    (returns(np.float64(HALF)), None),
    (returns(np.float16(HALF)), None),
    (returns(np.array(HALF)), None),
    (returns(np.array([HALF])), None),
    (returns(np.array([HALF, HALF])), NO_NUMBER.format(r"array\(\[0.5, 0.5\]\)") + ": .*"),
    (returns(decimal.Decimal("0.5")), None),
    (returns(1), None),
    (returns({"value": HALF, "loss": 2}), None),
    (returns({"accuracy": HALF, "loss": float("nan")}), None),
    (returns({"value": HALF, "loss": "2"}), "its loss of epoch 1 is '2', no number"),
    (returns({}), r"its value of epoch 1 is \{\}: it has no metric 'value'"),
    (returns(True), NO_NUMBER.format("True")),
    (returns(np.bool_(True)), NO_NUMBER.format(r"np.True_")),
    (returns(1j), NO_NUMBER.format("1j")),
    (returns(np.complex128(1j)), NO_NUMBER.format(r"np.complex128\(1j\)")),
    (returns(None), NO_NUMBER.format("None")),
    (returns((HALF,)), NO_NUMBER.format(r"\(0.5,\)")),
    (returns("0.5"), NO_NUMBER.format("'0.5'")),
    (returns(b"0.5"), NO_NUMBER.format("b'0.5'")),
    (lambda report: (one for one in [HALF]), NO_NUMBER.format("<generator .*>")),
    (returns(RaisesAsNumber(ValueError("no"))), NO_NUMBER.format(".*") + ": ValueError: no.*"),
    (
        returns(RaisesAsNumber(SystemExit("no"))),
        NO_NUMBER.format("<RaisesAsNumber whose repr raises .*>") + ".*",
    ),
    (returns(float("nan")), "diverged in epoch 1: its value is nan"),
    (returns(float("inf")), "diverged in epoch 1: its value is inf"),
    (returns(-1.8e308), "diverged in epoch 1: its value is -inf"),
    (returns(-1.7e308), r"diverged in epoch 1: its value is -1.7e\+308"),
    (returns(10**400), "diverged in epoch 1: its value is inf"),
]
"""Functions of `report`, and the reason of their trials as a regular expression; None if they complete."""


def one_fault_each(point, seed, report):
    return FAULTS[report.number][0](report)


@batched
def one_fault_each_batch(points, seeds, report):
    class First:
        number, folder = report.numbers[0], report.folders[0]

    return [FAULTS[First.number][0](First)]


def one_fault_each_objective(trial):
    trial.suggest_float("a", 0.001, 1.0, log=True)
    trial.suggest_categorical("shape", ["round", "square"])
    return FAULTS[trial.number][0](trial)


def leaks(point, seed, report, kept=[]):
    """Keep 50 MB, all of them written; report the memory of the process, which is its most so far."""
    kept.append(np.ones(50 * 2**20 // 8))  # in large pages where the system has them, which takes less time
    return {"value": HALF, "memory": psutil.Process().memory_info().rss}


def dies_by_kill(point, seed, report):
    """Be killed in the first attempt, as for lack of memory."""
    if report.number == 1 and report.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if report.number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return HALF


def kills_its_worker(point, seed, report):
    """Leave a child, note all processes, and kill the worker once."""
    left = subprocess.Popen(["sleep", str(SECONDS)], start_new_session=True)
    server = os.getppid()
    worker = int(Path(f"/proc/{server}/stat").read_text("utf-8").rpartition(")")[2].split()[1])
    if report.number == 1 and report.attempt == 1:
        (report.folder / "running").write_text(json.dumps([os.getpid(), server, left.pid]), "utf-8")
        os.kill(worker, signal.SIGKILL)
        time.sleep(SECONDS)
    left.kill()
    left.wait()
    return HALF
