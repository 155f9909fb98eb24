"""A worker process: it runs a campaign's stages, writes a log, and sends its pool messages.

A Dask worker runs the same task with `run_task`, without a log or messages.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from multiprocessing import current_process, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from coarsefine.model.datasets import MappedFile
from coarsefine.model.errors import ModelError
from coarsefine.search.campaign import labels
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.engine.signals import HANGUP, TERMINATION, Interrupts
from coarsefine.search.engine.stage_loop import StageLoop
from coarsefine.search.errors import DISK_ERRORS, RepeatedFailure, SearchError, StorageError
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.progress import StageProgress
from coarsefine.search.results.status import Status
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.opening import open_storage
from coarsefine.search.training.images import Source
from coarsefine.search.training.user_code.devices import Gpus
from coarsefine.search.training.user_code.failures import description_of
from coarsefine.search.training.workload import load_workload, serving

UNGUARDED = 81
"""The exit code of a worker process that would run the script again which has started it."""


def end_in_import() -> None:
    """End a worker process that imports the calling script and so calls this again: it lacks `__main__`'s guard."""
    if getattr(current_process(), "_inheriting", False):  # as multiprocessing itself recognises such a process
        os._exit(UNGUARDED)


@dataclass(frozen=True, slots=True)
class Task:
    """What the workers of a run train, and where; it is pickled."""

    campaign: Campaign
    storage: Location
    data: Source | None
    """A `Dataset` is pickled with its images, unless it is mapped and all workers are on this machine."""
    mapped_file: MappedFile | None
    """The file of normalised images that all processes of this machine map."""
    workers: int
    logs: Path
    """The folder for the logs of workers on this machine."""
    details: bool = False
    """Whether workers on this machine report each claim and record."""
    gpus: Sequence[Gpus] | None = None
    """The GPUs of each worker on this machine; None if its trials use what the process sees."""


@dataclass(frozen=True, slots=True)
class Message:
    """A worker has claimed its first slots, has ended trials, or has a warning or a detail for the observer.

    That a file is locked is a warning that all workers may have.
    """

    kind: Literal["started", "progress", "warning", "locked", "detail"]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker has ended: all stages have ended (0), it was stopped (130), or it met an error."""

    exit_code: int
    text: str
    crash: str = ""
    """If an exception that nobody expected has escaped, its type and line: equal for crashes with the same cause."""
    gave_up: bool = False
    """Whether it stopped because trial after trial failed: others may go on, but it should not be started again."""


@dataclass(slots=True)
class _WorkerObserver(Observer):
    """Writes the worker's log, and sends the pool what it should know."""

    pool: Connection
    log: logging.Logger
    details: bool
    _started: bool = field(default=False)

    def on_message(self, sentence: str) -> None:
        """Log a sentence."""
        self.log.info(sentence)

    def on_warning(self, sentence: str) -> None:
        """Log a warning and send it."""
        self.log.warning(sentence)
        self._send(Message("warning", sentence))

    def on_other_program(self, sentence: str) -> None:
        """Log it; the pool's process says it once for all workers."""
        self.log.warning(sentence)

    def on_locked(self, sentence: str) -> None:
        """Log it, and send it; the pool's process says it once for all workers."""
        self.log.warning(sentence)
        self._send(Message("locked", sentence))

    def on_detail(self, sentence: str) -> None:
        """Log a detail; send it if details are wanted."""
        self.log.info(sentence)
        if self.details:
            self._send(Message("detail", sentence))

    def on_stage_opened(self, status: Status, stage: StageProgress) -> None:
        """Log the stage."""
        waiting = next(s.waiting for s in status.stages if s.name == stage.stage_name)
        each = labels.epochs_each(stage.campaign, stage.epochs)
        self.log.info("%s: %d trials wait%s", stage.study_name, waiting, each)

    def on_claimed(self, stage: str, numbers: Sequence[int]) -> None:
        """Log the slots; send that the worker has started."""
        Observer.on_claimed(self, stage, numbers)
        if not self._started:
            self._started = True
            self._send(Message("started"))

    def on_recorded(self, stage: str, epochs: int, ended: Sequence[int]) -> None:
        """Send that trials have ended. Log and send records if details are wanted: four a second would flood a log."""
        if ended:
            self._send(Message("progress"))
        if self.details:
            Observer.on_recorded(self, stage, epochs, ended)

    def _send(self, message: Message) -> None:
        with suppress(OSError):  # the pool's process is gone, which `stop` notices
            self.pool.send(message)


def work(task: Task, log: Path, pool: Connection, environment: Mapping[str, str]) -> None:
    """Run a task in this process until its stages have ended, SIGTERM or SIGHUP arrives, or the parent is gone."""
    os.environ.update(environment)  # a fork server still has the environment it was started with
    logger = _open_log(log)
    logger.info("started as process %d", os.getpid())
    parent = parent_process()
    with Interrupts(TERMINATION) as interrupted:
        if HANGUP is not None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {HANGUP})  # the pool has started this process with it blocked

        def stop() -> bool:
            return interrupted() or (parent is not None and not parent.is_alive())

        try:
            ended = run_task(task, _WorkerObserver(pool, logger, task.details), stop, checked=True)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - of Coarsefine or of any package: the pool decides
            ended = _crash(error, logger)
    logger.info("ended: %s", ended.text)
    with suppress(OSError):  # the pool's process is gone
        pool.send(ended)
    sys.exit(bool(ended.crash))


def _crash(error: BaseException, logger: logging.Logger) -> Ended:
    """Log an unexpected exception; return it as the end of a worker."""
    found = description_of(error)
    logger.error("%s", found.detail)
    on_disk = isinstance(error, OSError) and error.errno in DISK_ERRORS
    return Ended(StorageError.exit_code if on_disk else SearchError.exit_code, found.reason, found.cause)


def run_task(task: Task, observer: Observer, stop: Callable[[], bool], *, checked: bool = False) -> Ended:
    """Run the stages of a task's campaign; return how that ended. Raises unexpected errors only.

    `checked` skips the check that the storage's tables belong to this Optuna: the process that made them has the same.
    """
    try:
        workload = load_workload(task.campaign, task.data, observer.on_message, task.mapped_file)
        opened = open_storage(task.storage, writing=True, patient=True, checked=checked, say=observer.on_message)
        with serving(workload), closing(opened) as storage:
            StageLoop(task.campaign, storage, workload, observer, stop, task.workers).run_stages()
    except (SearchError, ModelError) as error:
        return Ended(error.exit_code, str(error), gave_up=isinstance(error, RepeatedFailure))
    return Ended(0, "every stage has ended")


def _open_log(path: Path) -> logging.Logger:
    """Return the worker's log; standard error, with what C libraries print in a crash, goes to the same file."""
    logger = logging.getLogger("coarsefine.worker")
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    with path.open("ab") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    return logger
