"""Run `python -m coarsefine`, and kill the run and the current process at a given moment.

Functions of the product are replaced in this process and, since worker processes import the module they were started
from, in its workers. CHAOS_MOMENT names the moment, CHAOS_STUDY the study, and CHAOS_FLAG a file that the first process
to reach the moment creates; all others continue.
"""

import os
import signal
from collections.abc import Callable, Sequence
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from coarsefine.search.network.final_training import FinalTraining
from coarsefine.search.results import stage_opening
from coarsefine.search.storage import study_writer
from coarsefine.search.storage.optuna_storage import Storage


def die() -> None:
    """Kill the run and this process, unless another process did so before."""
    try:
        Path(os.environ["CHAOS_FLAG"]).touch(exist_ok=False)
    except FileExistsError:
        return
    if (run := parent_process()) is not None and run.pid is not None:
        os.kill(run.pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _concerns(name: str) -> bool:
    return name == os.environ["CHAOS_STUDY"]


def _during_narrowing() -> None:
    narrow, opening = stage_opening.narrow, stage_opening._space_of  # noqa: SLF001 - the moment is inside

    def narrow_and_die(*arguments: Any) -> Any:
        narrowed = narrow(*arguments)
        die()
        return narrowed

    def space_of(campaign: Any, stage: Any, parent: Any) -> Any:
        stage_opening.narrow = narrow_and_die if _concerns(campaign.study_name(stage)) else narrow
        return opening(campaign, stage, parent)

    stage_opening._space_of = space_of  # noqa: SLF001


def _around_writing(*, before: bool) -> None:
    write = Storage.open_study

    def open_study(storage: Storage, name: str, *rest: Any, **named: Any) -> None:
        if before and _concerns(name):
            die()
        write(storage, name, *rest, **named)
        if not before and _concerns(name):
            die()

    Storage.open_study = open_study


def _during_writing() -> None:
    opening, write = Storage.open_study, study_writer.write_slots
    now: list[str] = []

    def open_study(storage: Storage, name: str, *rest: Any, **named: Any) -> None:
        now[:] = [name]
        opening(storage, name, *rest, **named)

    def write_slots(connection: Any, study: int, space: Any, slots: Sequence[Any]) -> None:
        if now and _concerns(now[0]) and not Path(os.environ["CHAOS_FLAG"]).exists():
            write(connection, study, space, slots[: len(slots) // 2])
            die()
            raise AssertionError("it lives on half of its slots")
        write(connection, study, space, slots)

    Storage.open_study = open_study
    study_writer.write_slots = write_slots


def _around_final(*, during: bool) -> None:
    train = FinalTraining.run

    def train_and_die(training: FinalTraining) -> Any:
        on_epoch = training.on_epoch

        def on_epoch_and_die(epoch: int, accuracy: float | None) -> None:
            on_epoch(epoch, accuracy)
            if during and epoch == 2:  # noqa: PLR2004 - of four
                die()

        training.on_epoch = on_epoch_and_die
        final = train(training)
        die()  # the weights are written, but not recorded in the study
        return final

    FinalTraining.run = train_and_die


MOMENTS: dict[str, Callable[[], None]] = {
    "during narrowing": _during_narrowing,
    "before the slots": lambda: _around_writing(before=True),
    "during the slots": _during_writing,
    "after the slots": lambda: _around_writing(before=False),
    "during the final training": lambda: _around_final(during=True),
    "weights written": lambda: _around_final(during=False),
}

if __name__ in {"__main__", "__mp_main__"}:
    MOMENTS[os.environ["CHAOS_MOMENT"]]()

if __name__ == "__main__":
    from coarsefine.search.cli import main

    main()
