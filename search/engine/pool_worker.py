"""A worker process of a pool: it walks the task's campaign, writes a log, and tells the pool what it should know."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

from coarsefine.model.datasets import Kept
from coarsefine.model.errors import ModelError
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.engine.signals import Interrupts
from coarsefine.search.engine.stage_loop import StageLoop
from coarsefine.search.errors import SearchError
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.progress import StageProgress
from coarsefine.search.results.status import Status
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.optuna_storage import open_storage
from coarsefine.search.training.workload import load_workload


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


@dataclass(frozen=True, slots=True)
class Claimed:
    """A worker came as far as its first slots."""


@dataclass(frozen=True, slots=True)
class Warned:
    """A worker met with something that should be mended."""

    told: str


@dataclass(frozen=True, slots=True)
class Detail:
    """A worker tells what it does."""

    told: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker is through: every stage is at its end (0), it was told to leave (130), or it met with an error."""

    exit_code: int
    told: str


@dataclass(slots=True)
class _Logging(Observer):
    """A worker's observer: writes its log, and tells the pool when the work has begun."""

    mouth: Connection
    log: logging.Logger
    details: bool
    _begun: bool = field(default=False)

    def on_message(self, sentence: str) -> None:
        """Log a sentence."""
        self.log.info(sentence)

    def on_warning(self, sentence: str) -> None:
        """Log a warning, and let the pool tell it."""
        self.log.warning(sentence)
        self._tell(Warned(sentence))

    def on_detail(self, sentence: str) -> None:
        """Log a sentence, and pass it on where that was asked for."""
        self.log.info(sentence)
        if self.details:
            self._tell(Detail(sentence))

    def on_stage_opened(self, status: Status, stage: StageProgress) -> None:
        """Log the stage."""
        waiting = next(s.waiting for s in status.stages if s.name == stage.stage)
        self.log.info("%s: %d trials wait, %d epochs each", stage.study, waiting, stage.epochs)

    def on_claimed(self, stage: str, numbers: Sequence[int]) -> None:
        """Log the slots."""
        Observer.on_claimed(self, stage, numbers)
        if not self._begun:
            self._begun = True
            self._tell(Claimed())

    def on_recorded(self, stage: str, epochs: int, ended: Sequence[int]) -> None:
        """Tell of records where that was asked for: four a second would flood a log."""
        if self.details:
            Observer.on_recorded(self, stage, epochs, ended)

    def _tell(self, message: Claimed | Detail | Warned) -> None:
        with suppress(OSError):  # whoever started this is gone: `stop` tells
            self.mouth.send(message)


def work(task: Task, log: Path, mouth: Connection, environment: Mapping[str, str]) -> None:
    """Be a worker: walk the task's campaign until its stages have ended, or whoever started this is gone."""
    os.environ.update(environment)  # a fork server has that of its own start
    logger = _logger(log)
    logger.info("started as process %d", os.getpid())
    parent = parent_process()
    with Interrupts((signal.SIGTERM,)) as asked:

        def stop() -> bool:
            return asked() or (parent is not None and not parent.is_alive())

        ended = take_part(task, _Logging(mouth, logger, task.details), stop, checked=True)
    logger.info("ended: %s", ended.told)
    mouth.send(ended)


def take_part(task: Task, observer: Observer, stop: Callable[[], bool], *, checked: bool = False) -> Ended:
    """Train the task's campaign; return how that ended. An error that is nobody's but ours is raised.

    `checked` spares asking whether the storage's tables are of this Optuna: the process that made them has the same.
    """
    try:
        workload = load_workload(task.campaign, task.data, observer.on_message, task.kept)
        with closing(open_storage(task.storage, writing=True, patient=True, checked=checked)) as storage:
            StageLoop.begin(task.campaign, storage, workload, observer, stop, task.workers).take_stages()
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
