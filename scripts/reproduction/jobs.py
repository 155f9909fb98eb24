"""Run the measurements; each result is kept as a file, so that an interrupted run resumes."""

import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_all_start_methods, get_context
from pathlib import Path
from typing import Any

from coarsefine.search.errors import WorkersFailed
from coarsefine.search.files import write_atomic
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import create_storage
from reproduction import campaigns, evidence
from reproduction.plan import FIXED, HIDDEN, NARROWED, PRESET, Plan

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """A measurement for one seed."""

    kind: str
    seed: int
    measure: Callable[[Plan, int], dict[str, Any]]

    def file(self, plan: Plan) -> Path:
        """Return the file of its outcome."""
        return plan.folder / "measured" / f"{self.kind}-{self.seed}.json"


_Measures = dict[str, Callable[[Plan, int], dict[str, Any]]]
_FIRST: _Measures = {
    NARROWED: campaigns.narrowed,  # the longest first, so that the cores finish at about the same time
    FIXED: partial(campaigns.whole, kind=FIXED),
    "momentum": evidence.momentum,
    **{f"settings-{name}": partial(evidence.settings, variation=name) for name in evidence.VARIATIONS},
    "gradients": evidence.check,
}
_THEN: _Measures = {"selection": campaigns.choice}
"""Measurements that need a finished campaign."""
_PRESET: _Measures = {PRESET: partial(campaigns.whole, kind=PRESET)}
_HIDDEN: _Measures = {HIDDEN: partial(campaigns.whole, kind=HIDDEN)}
PARTS: dict[str, tuple[_Measures, ...]] = {
    "report": (_FIRST, _THEN),
    "preset": (_PRESET,),
    "hidden": (_PRESET | _HIDDEN,),  # its step follows that of the preset on the same page
}
"""The measurements of each part, in order."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Processes that measure: `cores` at most. They start when they are needed, and all parts use the same."""

    cores: int
    pool: ProcessPoolExecutor


@contextmanager
def processes(cores: int) -> Iterator[Processes]:
    """Provide processes that measure; after an error they are terminated, so that the command ends at once.

    Where the system can fork, they are forked from a server that has imported the packages.
    """
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(cores, context, initializer=_leave_interrupts) as pool:
        try:
            yield Processes(cores, pool)
        except BaseException:
            for child in active_children():  # campaigns and trainings resume from their last checkpoint
                child.terminate()
            raise


def measure_all(plan: Plan, part: str, workers: Processes, say: Say) -> dict[str, list[dict[str, Any]]]:
    """Return a part's outcomes of each kind, in the order of the seeds; measure the missing ones."""
    create_storage(
        locate(plan.storage)
    ).close()  # by one process: several processes that create one SQLite file collide
    return {kind: kept for measures in PARTS[part] for kind, kept in _measure(plan, measures, workers, say).items()}


def _measure(plan: Plan, measures: _Measures, workers: Processes, say: Say) -> dict[str, list[dict[str, Any]]]:
    jobs = [Job(kind, seed, measure) for kind, measure in measures.items() for seed in plan.seeds]
    missing = [job for job in jobs if not job.file(plan).exists()]
    at_once = f"{len(missing)} are measured, {workers.cores} at once."
    say(f"{len(jobs) - len(missing)} of {len(jobs)} pieces are there; {at_once}")
    _measure_missing(plan, missing, workers.pool, say)
    kept = {job: json.loads(job.file(plan).read_text("utf-8")) for job in jobs}
    return {kind: [outcome for job, outcome in kept.items() if job.kind == kind] for kind in measures}


def _measure_missing(plan: Plan, jobs: Sequence[Job], pool: ProcessPoolExecutor, say: Say) -> None:
    try:
        futures = {pool.submit(take, plan, job): job for job in jobs}
        for ended, future in enumerate(as_completed(futures), 1):
            future.result()
            say(f"{ended} of {len(jobs)}: {futures[future].kind}, seed {futures[future].seed}")
    except BrokenProcessPool as error:
        kept = f"What is done is kept in {plan.folder}: the same command goes on."
        raise WorkersFailed(f"A process that measures was killed. {kept}") from error


def _leave_interrupts() -> None:
    """Ignore Ctrl-C, which the terminal sends to all processes: the parent handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def take(plan: Plan, job: Job) -> None:
    """Run one measurement, and write its outcome atomically."""
    began = time.process_time()
    outcome = job.measure(plan, job.seed)
    outcome["seconds"] = round(time.process_time() - began, 1)
    write_atomic(job.file(plan), json.dumps(outcome, allow_nan=False) + "\n")
