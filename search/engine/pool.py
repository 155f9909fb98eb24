"""Workers on this machine: processes that walk a campaign, watched and replaced.

Each has one BLAS thread and a log of its own, and shares the images through the page cache. Where the system can, it is
forked from a server that has imported everything and does nothing else, so that another takes a dead one's place at
once: what the dead one loses is its last epoch.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_all_start_methods, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from coarsefine.search.engine.pool_worker import (
    Claimed,
    Detail,
    Ended,
    Task,
    Warned,
    work,
)
from coarsefine.search.errors import Interrupted, WorkersFailed
from coarsefine.search.results.observer import Observer

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_CONTEXT = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
_CONTEXT.set_forkserver_preload([work.__module__])
_MOST_FALSE_STARTS = 3
"""Deaths in a row of a worker that had not yet claimed a slot, after which another would die alike."""
_GRACE_SECONDS = 60
"""How long workers that were told to stop may take for their epoch."""


@dataclass(slots=True)
class _Place:
    """One of a pool's workers, and whoever replaces it."""

    name: str
    process: BaseProcess
    ear: Connection
    """Hears `Claimed` once, `Detail` where asked for, `Warned`, and at the end `Ended`; nothing more if it died."""
    false_starts: int = 0
    ended: bool = False


class Pool:
    """Keeps a task's workers at it while entered; leaving it ends them."""

    def __init__(self, task: Task, observer: Observer) -> None:
        self._task, self._observer = task, observer
        self._places: list[_Place] = []

    def __enter__(self) -> Self:
        self._task.logs.mkdir(parents=True, exist_ok=True)
        try:
            for number in range(1, self._task.workers + 1):
                self._places.append(self._start(f"worker-{number}"))
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the workers finish their epoch, or end them at once where even that was interrupted."""
        grace = 0 if kind is not None and issubclass(kind, KeyboardInterrupt) else _GRACE_SECONDS
        try:
            for place in self._places:
                place.process.terminate()  # unlike os.kill, it does not mind one that has just ended
            for place in self._places:
                place.process.join(grace)
                self._hear_the_rest(place)
        finally:
            for place in self._places:
                place.process.kill()
            for place in self._places:
                place.process.join()
                place.ear.close()

    def wait(self, seconds: float) -> None:
        """Wait until a worker ends or dies, at most so long; replace the dead.

        Raises the error a worker ended with, or `WorkersFailed` where they die before they can begin.
        """
        until = time.monotonic() + seconds
        nothing_happened = True
        while nothing_happened and (left := until - time.monotonic()) > 0:
            waiting = {place.ear: place for place in self._places if not place.ended}
            for ear in connection.wait(list(waiting), left):
                assert isinstance(ear, Connection), "only connections are waited for"  # noqa: S101
                nothing_happened &= self._hear(waiting[ear])

    def _hear(self, place: _Place) -> bool:
        """Hear a worker; tell whether it goes on as before."""
        try:
            message = place.ear.recv()
        except EOFError:  # it died: the last copy of the other end is closed
            place.process.join()
            self._replace(place)
            return False
        if isinstance(message, Claimed):
            place.false_starts = 0
        elif isinstance(message, Warned):
            self._observer.on_warning(f"{place.name}: {message.told}")
        elif isinstance(message, Detail):
            self._observer.on_detail(f"{place.name}: {message.told}")
        elif isinstance(message, Ended):
            place.ended = message.exit_code == 0
            if message.exit_code not in {0, Interrupted.exit_code}:
                raise WorkersFailed(message.told, message.exit_code)
            return False
        return True

    def _hear_the_rest(self, place: _Place) -> None:
        """Hear what a worker did before it left."""
        with suppress(EOFError, OSError):
            while place.ear.poll():
                if isinstance(message := place.ear.recv(), Detail):
                    self._observer.on_detail(f"{place.name}: {message.told}")

    def _replace(self, dead: _Place) -> None:
        how = _manner_of_death(dead.process.exitcode)
        log = self._log(dead.name)
        dead.false_starts += 1
        if dead.false_starts >= _MOST_FALSE_STARTS:
            raise WorkersFailed(
                f"{dead.name} {how} {dead.false_starts} times in a row before it could begin: see {log}.", 1
            )
        self._observer.on_message(f"{dead.name} {how}: its slots go back, and another takes its place (log: {log}).")
        dead.ear.close()
        new = self._start(dead.name, dead.false_starts)
        dead.process, dead.ear, dead.false_starts = new.process, new.ear, new.false_starts

    def _start(self, name: str, false_starts: int = 0) -> _Place:
        """Start a worker; where it is killed before it hears what it is to do, another."""
        ear, mouth = _CONTEXT.Pipe(duplex=False)
        given = (self._task, self._log(name), mouth, dict(os.environ))
        process = _CONTEXT.Process(target=work, args=given, name=name, daemon=True)  # type: ignore[attr-defined]
        try:
            with _one_thread_each(), _deaf_to_interrupts():
                process.start()
        except (OSError, EOFError) as error:
            ear.close()
            mouth.close()
            why = error or "the process that forks workers died"
            if false_starts + 1 < _MOST_FALSE_STARTS:
                self._observer.on_message(f"{name} did not start ({why}): tried again.")
                return self._start(name, false_starts + 1)
            raise WorkersFailed(
                f"{name} cannot be started ({why}): see what was said before this, or train in this process alone "
                "with --workers 1.",
                1,
            ) from error
        mouth.close()
        return _Place(name, process, ear, false_starts)

    def _log(self, name: str) -> Path:
        return self._task.logs / f"{name}.log"


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Have processes started meanwhile load their BLAS with one thread; a limit set later would find them started."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Have processes started meanwhile be born with Ctrl-C blocked: the pool hears it, afterwards, and decides for all.

    A handler of their own would come too late: while they import, Ctrl-C would have them die with a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start unblocks Ctrl-C in Python 3.11: it comes before
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _manner_of_death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    if exit_code == 0:
        return "was told to leave"
    return f"ended with exit code {exit_code}"
