"""Worker processes on this machine: started, watched, and restarted when they die.

Each worker has one BLAS thread and its own log, and shares the images through the page cache. Where the system can
fork, workers are forked from a server that has imported everything and does nothing else. So a restarted worker trains
at once, and the dead one loses only its last epoch.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_all_start_methods, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

from coarsefine.model.datasets import DATASETS
from coarsefine.search.engine.crashes import Crashes
from coarsefine.search.engine.signals import HANGUP
from coarsefine.search.engine.worker_process import UNGUARDED, Ended, Message, Task, work
from coarsefine.search.errors import Interrupted, RepeatedFailure, UsageError, WorkersFailed
from coarsefine.search.results.observer import Observer
from coarsefine.search.training.user_code.devices import THREADS, VISIBLE, thread_limits

_CONTEXT = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
_CONTEXT.set_forkserver_preload([work.__module__, *(name.partition(":")[0] for name in DATASETS.built_in.values())])
_MOST_FAILED_STARTS = 3
"""Deaths in a row before a first claim, after which a worker is not restarted: it would die again."""
_WITHOUT_LOG = "see the messages before this one, or train in this process with --workers 1"
_GRACE_SECONDS = 60
"""How long stopped workers may take to finish their epoch."""


@dataclass(slots=True, eq=False)
class _PoolWorker:
    """A worker of the pool; one that is restarted keeps its name."""

    name: str
    process: BaseProcess
    messages: Connection
    """Receives messages, and `Ended` at the end unless the process dies."""
    failed_starts: int = 0
    ended: Ended | None = None
    """How it ended; None if it runs or has died."""
    finished: bool = False


class WorkerPool:
    """Keeps a task's workers running while entered; stops them on leaving."""

    def __init__(self, task: Task, observer: Observer, stop: Callable[[], bool]) -> None:
        self._task, self._observer, self._stop = task, observer, stop
        self._workers: list[_PoolWorker] = []
        self._given_up: list[tuple[str, int]] = []
        """Why workers stopped for good, as sentences, and the exit codes that they deserve."""
        self._crashes = Crashes()
        self._locks: set[str] = set()
        """What workers said about locks: each of them waits for the same one."""

    def __enter__(self) -> Self:
        self._task.logs.mkdir(parents=True, exist_ok=True)
        try:
            for number in range(1, self._task.workers + 1):
                self._workers.append(self._start(f"worker-{number}"))
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let the workers finish their epoch; on `KeyboardInterrupt`, kill them at once."""
        grace = 0 if kind is not None and issubclass(kind, KeyboardInterrupt) else _GRACE_SECONDS
        try:
            for worker in self._workers:
                worker.process.terminate()  # unlike os.kill, accepts a process that has just ended
            for worker in self._workers:
                worker.process.join(grace)
                self._receive_details(worker)
        finally:
            for worker in self._workers:
                worker.process.kill()
            for worker in self._workers:
                worker.process.join()
                worker.messages.close()

    def wait(self, seconds: float) -> None:
        """Wait at most `seconds` until a worker ends or dies; restart dead workers.

        Raises `WorkersFailed` if a worker ended with an error, if one dies again and again before it claims a slot or
        crashes with the same error without ending a trial, or if all have ended and one because trial after trial
        failed.
        """
        if all(worker.finished for worker in self._workers):
            self._start_again()
        until = time.monotonic() + seconds
        all_running = True
        while all_running and (left := until - time.monotonic()) > 0:
            running = {worker.messages: worker for worker in self._workers if not worker.finished}
            for messages in connection.wait(list(running), left):
                assert isinstance(messages, Connection), "only connections are waited for"  # noqa: S101
                all_running &= self._receive(running[messages])

    def _start_again(self) -> None:
        """Start workers that have ended with their last stage: trials were retried since."""
        if self._given_up:
            why, exit_code = self._given_up[-1]
            raise WorkersFailed(why, exit_code)
        for place, ended in enumerate(self._workers):
            ended.process.join()
            ended.messages.close()
            self._workers[place] = self._start(ended.name)

    def _receive(self, worker: _PoolWorker) -> bool:
        """Handle a worker's next message, or its death; return whether its process still runs."""
        try:
            message = worker.messages.recv()
        except EOFError:  # the process died, and with it the last copy of the sending end
            worker.process.join()
            self._restart(worker)
            return False
        match message:
            case Message("started"):
                worker.failed_starts = 0
            case Message("progress"):
                self._crashes.forget(worker.name)
            case Message("warning", text):
                self._observer.on_warning(f"{worker.name}: {text}")
            case Message("locked", text) if text not in self._locks:
                self._locks.add(text)
                self._observer.on_locked(text)
            case Message("detail", text):
                self._observer.on_detail(f"{worker.name}: {text}")
            case Ended(_, text, gave_up=True):
                self._give_up(worker, text, RepeatedFailure.exit_code)
                return False
            case Ended(exit_code, text) as ended:
                worker.ended, worker.finished = ended, exit_code == 0
                if ended.crash:
                    why = self._crashes.count_exception(worker.name, ended, self._log(worker.name))
                    if why is not None:
                        self._give_up(worker, why, exit_code)
                elif exit_code not in {0, Interrupted.exit_code}:
                    raise WorkersFailed(text, exit_code)
                return False
        return True

    def _give_up(self, worker: _PoolWorker, why: str, exit_code: int) -> None:
        """Do not start a worker again."""
        worker.finished = True
        self._given_up.append((why, exit_code))
        if not all(other.finished for other in self._workers):  # else the run ends with this sentence
            brief = f"{worker.name} stopped after too many failures in a row; the other workers go on."
            self._observer.on_warning(brief if exit_code == RepeatedFailure.exit_code else why)

    def _receive_details(self, worker: _PoolWorker) -> None:
        """Handle the details that a stopped worker sent before it ended."""
        with suppress(EOFError, OSError):
            while worker.messages.poll():
                match worker.messages.recv():
                    case Message("detail", text):
                        self._observer.on_detail(f"{worker.name}: {text}")

    def _restart(self, dead: _PoolWorker) -> None:
        """Restart a dead worker; raise `WorkersFailed` if it keeps dying before its first claim, or all keep dying.

        Raises `Interrupted` if a stop was requested: then the signal that did so has reached the worker, too.
        """
        if self._stop():
            raise Interrupted("Stopped while workers train.")
        if dead.process.exitcode == UNGUARDED:
            raise UsageError(
                "Worker processes import the script that starts them, and it would start the run again: put that line "
                'below `if __name__ == "__main__":`, or give workers=1.'
            )
        cause, log = _cause_of_end(dead), self._log(dead.name)
        dead.failed_starts += dead.ended is None  # else it was stopped from outside, or its crash has been counted
        if dead.failed_starts >= _MOST_FAILED_STARTS:
            see = f"see {log}" if log.exists() else f"it has no log yet, {_WITHOUT_LOG}"
            raise WorkersFailed(
                f"{dead.name} {cause} {dead.failed_starts} times in a row before it claimed a trial: {see}."
            )
        if dead.ended is None:
            self._crashes.count_death(dead.name, cause, log)
        where = f" (log: {log})" if log.exists() else ""
        self._observer.on_message(f"{dead.name} {cause}: its trials are released, and it is restarted{where}.")
        dead.messages.close()
        self._workers[self._workers.index(dead)] = self._start(dead.name, dead.failed_starts)

    def _start(self, name: str, failed_starts: int = 0) -> _PoolWorker:
        """Start a worker; try again if its process is killed before it receives its task.

        Raises `Interrupted` if a stop was requested, which may have killed it, and `WorkersFailed`.
        """
        receiver, sender = _CONTEXT.Pipe(duplex=False)
        arguments = (self._task, self._log(name), sender, self._environment(name))
        process = _CONTEXT.Process(target=work, args=arguments, name=name, daemon=True)  # type: ignore[attr-defined]
        try:
            with _single_threaded_blas(), _terminal_blocked():
                process.start()
        except (OSError, EOFError) as error:
            receiver.close()
            sender.close()
            if self._stop():
                raise Interrupted(f"Stopped while {name} was starting.") from error
            why = error or "the process that forks workers died"
            if failed_starts + 1 < _MOST_FAILED_STARTS:
                self._observer.on_message(f"{name} did not start ({why}): trying again.")
                return self._start(name, failed_starts + 1)
            raise WorkersFailed(f"{name} cannot be started ({why}): {_WITHOUT_LOG}.") from error
        sender.close()
        return _PoolWorker(name, process, receiver, failed_starts)

    def _environment(self, name: str) -> dict[str, str]:
        """Return the environment of a worker, which sees its own GPUs only."""
        if self._task.gpus is None:
            return dict(os.environ)
        return os.environ | {VISIBLE: ",".join(self._task.gpus[int(name.rpartition("-")[2]) - 1])}

    def _log(self, name: str) -> Path:
        return self._task.logs / f"{name}.log"


@contextmanager
def _single_threaded_blas() -> Iterator[None]:
    """Make processes started meanwhile load their BLAS with one thread; a later limit would find threads started."""
    before = {name: os.environ[name] for name in THREADS if name in os.environ}
    os.environ.update(thread_limits(1))
    try:
        yield
    finally:
        for name in THREADS:
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _terminal_blocked() -> Iterator[None]:
    """Start processes with Ctrl-C and SIGHUP blocked: the pool receives them too, and decides for all workers.

    A handler in the worker would come too late: a signal during its imports would end it with a traceback, or at once.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {HANGUP} if HANGUP is not None else ())
    try:
        resource_tracker.ensure_running()  # before Ctrl-C is blocked, since its start unblocks that in Python 3.11
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cause_of_end(worker: _PoolWorker) -> str:
    exit_code = worker.process.exitcode
    if worker.ended is not None:
        return f"failed ({worker.ended.text.rstrip('.')})" if worker.ended.crash else "was stopped"
    if exit_code is not None and exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"
