"""Workers on this machine: processes that walk a campaign, watched and replaced.

Each is spawned, with one BLAS thread and a log of its own, and shares the images through the page cache. A worker that
dies loses its last epoch and nothing else: its slots go back, and another takes its place.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from model.datasets import Kept
from model.errors import ModelError
from search.campaign import Campaign
from search.database import Location
from search.errors import Interrupted, SearchError, WorkersFailed
from search.interrupt import Interrupts
from search.progress import Following
from search.status import Status
from search.walk import join
from search.watcher import Watcher

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_MOST_FALSE_STARTS = 3
"""Deaths in a row of a worker that had not yet claimed a slot, after which another would die alike."""
_GRACE_SECONDS = 60
"""How long workers that were told to stop may take for their epoch."""


@dataclass(frozen=True, slots=True)
class Task:
    """What every worker of a pool is to do."""

    campaign: Campaign
    storage: Location
    data: Path | None
    kept: Kept | None
    workers: int
    logs: Path
    """The folder of the workers' logs, of those on this machine."""
    details: bool = False
    """Whether workers on this machine are to tell each claim and record."""


@dataclass(slots=True)
class _Place:
    """One of a pool's workers, and whoever replaces it."""

    name: str
    process: SpawnProcess
    ear: Connection
    """Hears `_Claimed` once, `_Detail` where asked for, `_Warned`, and at the end `Ended`; nothing more if it died."""
    false_starts: int = 0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A worker came as far as its first slots."""


@dataclass(frozen=True, slots=True)
class _Warned:
    """A worker met with something that should be mended."""

    told: str


@dataclass(frozen=True, slots=True)
class _Detail:
    """A worker tells what it does."""

    told: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker is through: every stage is at its end (0), it was told to leave (130), or it met with an error."""

    exit_code: int
    told: str


class Pool:
    """Keeps a task's workers at it while entered; leaving it ends them."""

    def __init__(self, task: Task, watcher: Watcher) -> None:
        self._task, self._watcher = task, watcher
        self._places: list[_Place] = []

    def __enter__(self) -> Self:
        self._task.logs.mkdir(parents=True, exist_ok=True)
        for number in range(1, self._task.workers + 1):
            self._places.append(self._start(f"worker-{number}"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the workers finish their epoch, or end them at once where even that was interrupted."""
        grace = 0 if kind is not None and issubclass(kind, KeyboardInterrupt) else _GRACE_SECONDS
        try:
            self._signal(signal.SIGTERM)
            for place in self._places:
                place.process.join(grace)
                self._hear_the_rest(place)
        finally:
            self._signal(signal.SIGKILL)
            for place in self._places:
                place.process.join()
                place.ear.close()

    @property
    def pids(self) -> list[int]:
        """Return the process numbers of the living workers."""
        return [p.process.pid for p in self._places if p.process.is_alive() and p.process.pid is not None]

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
        if isinstance(message, _Claimed):
            place.false_starts = 0
        elif isinstance(message, _Warned):
            self._watcher.warn(f"{place.name}: {message.told}")
        elif isinstance(message, _Detail):
            self._watcher.detail(f"{place.name}: {message.told}")
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
                if isinstance(message := place.ear.recv(), _Detail):
                    self._watcher.detail(f"{place.name}: {message.told}")

    def _replace(self, dead: _Place) -> None:
        how = _manner_of_death(dead.process.exitcode)
        log = self._log(dead.name)
        dead.false_starts += 1
        if dead.false_starts >= _MOST_FALSE_STARTS:
            raise WorkersFailed(
                f"{dead.name} {how} {dead.false_starts} times in a row before it could begin: see {log}.", 1
            )
        self._watcher.say(f"{dead.name} {how}: its slots go back, and another takes its place (log: {log}).")
        dead.ear.close()
        new = self._start(dead.name)
        dead.process, dead.ear = new.process, new.ear

    def _start(self, name: str) -> _Place:
        spawning = get_context("spawn")
        ear, mouth = spawning.Pipe(duplex=False)
        process = spawning.Process(target=_work, args=(self._task, self._log(name), mouth), name=name, daemon=True)
        with _one_thread_each(), _deaf_to_interrupts():
            process.start()
        mouth.close()
        return _Place(name, process, ear)

    def _log(self, name: str) -> Path:
        return self._task.logs / f"{name}.log"

    def _signal(self, kind: signal.Signals) -> None:
        for pid in self.pids:
            os.kill(pid, kind)


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


@dataclass(slots=True)
class _Logging(Watcher):
    """A worker's watcher: writes its log, and tells the pool when the work has begun."""

    mouth: Connection
    log: logging.Logger
    details: bool
    _begun: bool = field(default=False)

    def say(self, sentence: str) -> None:
        """Log a sentence."""
        self.log.info(sentence)

    def warn(self, sentence: str) -> None:
        """Log a warning, and let the pool tell it."""
        self.log.warning(sentence)
        self._tell(_Warned(sentence))

    def detail(self, sentence: str) -> None:
        """Log a sentence, and pass it on where that was asked for."""
        self.log.info(sentence)
        if self.details:
            self._tell(_Detail(sentence))

    def stage_opened(self, status: Status, stage: Following) -> None:
        """Log the stage."""
        waiting = next(s.waiting for s in status.stages if s.name == stage.stage)
        self.log.info("%s: %d trials wait, %d epochs each", stage.study, waiting, stage.epochs)

    def claimed(self, stage: str, numbers: Sequence[int]) -> None:
        """Log the slots."""
        Watcher.claimed(self, stage, numbers)
        if not self._begun:
            self._begun = True
            self._tell(_Claimed())

    def recorded(self, stage: str, epochs: int, ended: Sequence[int]) -> None:
        """Tell of records where that was asked for: four a second would flood a log."""
        if self.details:
            Watcher.recorded(self, stage, epochs, ended)

    def _tell(self, message: _Claimed | _Detail | _Warned) -> None:
        with suppress(OSError):  # whoever started this is gone: `stop` tells
            self.mouth.send(message)


def _work(task: Task, log: Path, mouth: Connection) -> None:
    """Be a worker: walk the task's campaign until its stages have ended, or whoever started this is gone."""
    logger = _logger(log)
    logger.info("started as process %d", os.getpid())
    parent = parent_process()
    with Interrupts((signal.SIGTERM,)) as asked:

        def stop() -> bool:
            return asked() or (parent is not None and not parent.is_alive())

        ended = take_part(task, _Logging(mouth, logger, task.details), stop)
    logger.info("ended: %s", ended.told)
    mouth.send(ended)


def take_part(task: Task, watcher: Watcher, stop: Callable[[], bool]) -> Ended:
    """Walk the task's campaign; return how that ended. An error that is nobody's but ours is raised."""
    try:
        join(
            task.campaign, task.storage, data=task.data, kept=task.kept,
            workers=task.workers, watcher=watcher, stop=stop,
        )  # fmt: skip
    except (SearchError, ModelError) as error:
        return Ended(error.exit_code, str(error))
    return Ended(0, "every stage is at its end")


def _logger(path: Path) -> logging.Logger:
    """Return the worker's log; what a crash prints, down to the C libraries, goes there too."""
    logger = logging.getLogger("coarsefine.worker")
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    with path.open("ab") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    return logger
