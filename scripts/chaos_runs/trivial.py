"""An objective without cost, and processes that share it, so that only the queue is measured."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from chaos_runs.places import Place
from coarsefine.search.campaign.dimension import LogUniform
from coarsefine.search.campaign.pruning import Pruning
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.storage.opening import create_storage
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.checkpoints import Checkpoints, State
from coarsefine.search.training.objective import EpochReport
from coarsefine.search.training.scheduler import SlotGroups
from coarsefine.search.training.worker import Worker

SPACE = Space.of({"eta": LogUniform(0.01, 1.0), "lambda": LogUniform(1e-6, 1e-2)})


@dataclass
class Stack:
    """Slots that all report one value."""

    numbers: list[int]
    value: float
    after: Callable[[int], None]
    epoch: int = 0

    def advance(self) -> list[EpochReport]:
        """Report the value, after the epoch's side effect."""
        self.epoch += 1
        self.after(self.epoch)
        return [EpochReport(number, self.value, self.value, self.value) for number in self.numbers]

    def ask_to_end(self, numbers: Collection[int]) -> None:
        """Do nothing."""

    def drop(self, numbers: Collection[int]) -> None:
        """Remove slots."""
        self.numbers = [number for number in self.numbers if number not in numbers]

    def join(self, other: "Stack") -> None:
        """Add the slots of another stack."""
        self.numbers += other.numbers

    def pause(self) -> None:
        """Do nothing."""

    def state_of(self, number: int) -> None:
        """Return None: there are no weights to save."""


@dataclass
class Trivial:
    """Makes stacks without cost."""

    value: float = 0.5
    epochs: int = 1
    after: Callable[[int], None] = lambda _: None

    def width(self, slot: Slot) -> int:  # noqa: ARG002 - the same for all
        """Return the width of all stacks."""
        return 4

    def kind(self, slot: Slot) -> None:
        """Return the group of all slots."""

    def start(self, slots: Sequence[Slot], epoch: int = 0, states: Sequence[State] = ()) -> Stack:
        """Return a stack of these slots; raise `ValueError` after an epoch, since the stacks keep no states."""
        if epoch or states:
            raise ValueError("no states were kept")
        return Stack([slot.number for slot in slots], self.value, self.after)


def open_stage(place: Place, slots: int) -> int:
    """Make a study with `n` slots; return its id."""
    storage = create_storage(place.location)
    storage.open_study("chaos/trivial", {"campaign": "chaos"}, SPACE, _planned(slots))
    study: int = storage.get_study_id_from_name("chaos/trivial")
    storage.close()
    return study


def _planned(slots: int) -> list[Slot]:
    return [Slot(n, Point.of({"eta": 0.02 + n / 10_000, "lambda": 1e-4}), 1000 + n) for n in range(slots)]


def worker_of(storage: Storage, study: int, trials: int, objective: Trivial, stack: int, workers: int = 1) -> Worker:
    """Return the product's worker with this objective."""
    return Worker(
        storage=storage, study_id=study, objective=objective,
        groups=SlotGroups.of(_planned(trials), objective.kind, lambda _: stack, workers),
        pruning=Pruning.of("none", {}, objective.epochs), checkpoints=Checkpoints(Path(gettempdir()) / "never written"),
    )  # fmt: skip


@dataclass
class ProcessResult:
    """The results of one process."""

    began: float
    ended: float = 0.0
    numbers: list[int] = field(default_factory=list)
    """Numbers of the trials it claimed, in order."""
    claims: list[float] = field(default_factory=list)
    """Seconds of each claim."""


def forking() -> ForkServerContext:
    """Return the context of processes that are forked from a server, which has imported the experiments once."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["chaos_runs.__main__"])
    return context


def at_once(processes: int, target: Callable[..., ProcessResult], *arguments: Any) -> list[ProcessResult]:
    """Run a function in several processes at once, each with a barrier to wait at; return their results."""
    context = forking()
    barrier, queue = context.Barrier(processes), context.SimpleQueue()
    started = [context.Process(target=_report, args=(target, barrier, queue, *arguments)) for _ in range(processes)]
    for process in started:
        process.start()
    answers = [queue.get() for _ in started]
    for process in started:
        process.join()
    if errors := [answer for answer in answers if isinstance(answer, str)]:
        raise ChildError("; ".join(errors))
    return answers


class ChildError(Exception):
    """A process failed; the message is its own."""


def _report(target: Callable[..., ProcessResult], barrier: Any, queue: Any, *arguments: Any) -> None:
    try:
        queue.put(target(barrier, *arguments))
    except Exception as error:  # noqa: BLE001 - sent to the parent, which raises it
        barrier.abort()
        queue.put(f"{type(error).__name__}: {error}")


def timed(done: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """Return a function that records the duration of each call."""

    def call(*arguments: Any) -> Any:
        began = time.monotonic()
        try:
            return done(*arguments)
        finally:
            seconds.append(time.monotonic() - began)

    return call
