"""An objective that costs nothing, and the processes that share it: what is left is the queue."""

import multiprocessing
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from chaos_runs.places import Place
from coarsefine.search.campaign.dimension import LogUniform
from coarsefine.search.campaign.halving import NO_HALVING
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.storage.optuna_storage import Storage, create_storage
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.checkpoints import Checkpoints, State
from coarsefine.search.training.objective import EpochReport
from coarsefine.search.training.worker import Worker

SPACE = Space.of({"eta": LogUniform(0.01, 1.0), "lambda": LogUniform(1e-6, 1e-2)})


@dataclass
class Stack:
    """Slots that all report one value."""

    numbers: list[int]
    value: float
    after: Callable[[int], None]
    epoch: int = 0

    def run_epoch(self) -> list[EpochReport]:
        """Report the value, after whatever else is to happen in this epoch."""
        self.epoch += 1
        self.after(self.epoch)
        return [EpochReport(number, self.value, self.value, self.value, None) for number in self.numbers]

    def drop(self, numbers: Collection[int]) -> None:
        """Take slots out."""
        self.numbers = [number for number in self.numbers if number not in numbers]

    def join(self, other: "Stack") -> None:
        """Take in another's slots."""
        self.numbers += other.numbers

    def state_of(self, number: int) -> None:
        """Return nothing: there are no weights to keep."""


@dataclass
class Trivial:
    """Makes stacks that cost nothing."""

    value: float = 0.5
    epochs: int = 1
    after: Callable[[int], None] = lambda _: None

    def width(self, slot: Slot) -> int:  # noqa: ARG002 - the same for all
        """Return some width."""
        return 4

    def kind(self, slot: Slot) -> None:
        """Return what all slots have in common."""

    def start(self, slots: Sequence[Slot]) -> Stack:
        """Return these slots as a stack."""
        return Stack([slot.number for slot in slots], self.value, self.after)

    def resume(self, slots: Sequence[Slot], epoch: int, states: Sequence[State]) -> Stack:  # noqa: ARG002
        """Refuse: its stacks keep no states."""
        raise ValueError("no states were kept")


def open_stage(place: Place, slots: int) -> int:
    """Make a study of so many slots; return its id."""
    storage = create_storage(place.location)
    storage.open_study("chaos/trivial", {"campaign": "chaos"}, SPACE, _planned(slots))
    study: int = storage.get_study_id_from_name("chaos/trivial")
    storage.close()
    return study


def _planned(slots: int) -> list[Slot]:
    return [Slot(n, Point.of({"eta": 0.02 + n / 10_000, "lambda": 1e-4}), 1000 + n) for n in range(slots)]


def worker_of(storage: Storage, study: int, trials: int, objective: Trivial, stack: int, workers: int = 1) -> Worker:
    """Return the product's worker on this objective."""
    return Worker(
        storage=storage, study_id=study, objective=objective, slots=_planned(trials), widest=lambda _: stack,
        workers=workers, halving=NO_HALVING, checkpoints=Checkpoints(Path(gettempdir()) / "never written"),
        stop=lambda: False, claimed=lambda _: None, resumed=lambda *_: None, recorded=lambda _: None,
    )  # fmt: skip


@dataclass
class Told:
    """What one of several processes did."""

    began: float
    ended: float = 0.0
    numbers: list[int] = field(default_factory=list)
    """Of the trials it claimed or was given, in order."""
    claims: list[float] = field(default_factory=list)
    """Seconds of each claim."""


def at_once(processes: int, target: Callable[..., Told], *arguments: Any) -> list[Told]:
    """Run a function in so many processes at once, each given a barrier to wait at; return what they tell."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["chaos_runs.race", "chaos_runs.zombies"])
    barrier, told = context.Barrier(processes), context.SimpleQueue()
    started = [context.Process(target=_tell, args=(target, barrier, told, *arguments)) for _ in range(processes)]
    for process in started:
        process.start()
    answers = [told.get() for _ in started]
    for process in started:
        process.join()
    if errors := [answer for answer in answers if isinstance(answer, str)]:
        raise ChildError("; ".join(errors))
    return answers


class ChildError(Exception):
    """A process could not do what it was asked; the words are its own."""


def _tell(target: Callable[..., Told], barrier: Any, told: Any, *arguments: Any) -> None:
    try:
        told.put(target(barrier, *arguments))
    except Exception as error:  # noqa: BLE001 - told to who asked, who raises it
        barrier.abort()
        told.put(f"{type(error).__name__}: {error}")


def timed(done: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """Return the function, noting how long each call takes."""

    def call(*arguments: Any) -> Any:
        began = time.monotonic()
        try:
            return done(*arguments)
        finally:
            seconds.append(time.monotonic() - began)

    return call
