"""The measurements, each of which returns rows of the table."""

import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from chaos_runs.places import Databases
from chaos_runs.trivial import ProcessResult, Trivial, at_once, open_stage, worker_of
from coarsefine.search.storage import sqlite
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.opening import open_storage
from coarsefine.search.storage.optuna_storage import Storage
from scales.databases import campaign_of, make, make_many, record
from scales.findings import Row, spread
from scales.processes import Cost, cost_of

_FEW, _WARM_UP = 100, 5
_SECONDS, _MEGABYTES = 5.0, 400.0
_COMMANDS = {
    "status": ("-m", "coarsefine", "status", "scale"),
    "best": ("-m", "coarsefine", "best", "scale"),
    "report": ("-m", "coarsefine", "report", "scale", "--output", "report.html"),
}
_BOOTSTRAP = """
import numpy as np
from coarsefine.search.campaign import winner
winner._probabilities(np.random.default_rng(1).normal(size=(100, {seeds})), 1)
"""


def claims(wanted: Namespace, databases: Databases, database: str) -> list[Row]:
    """Time claims and records of one slot, in turn of a stage in which few slots wait and of one in which many do."""
    few: list[float] = []
    many: list[float] = []
    with databases.new(database) as place:
        stages = [
            (make(place.location, campaign_of(place.folder, f"waiting-{waiting}", waiting), 0), seconds)
            for waiting, seconds in ((_FEW, few), (wanted.trials, many))
        ]
        with closing(open_storage(place.location, writing=True)) as storage:
            for turn in range(wanted.claims):
                for study, milliseconds in stages:
                    took = 1000 * _seconds(partial(_claim_and_record, storage, study))
                    if turn >= _WARM_UP:
                        milliseconds.append(took)
    ratio = statistics.median(many) / statistics.median(few)
    what = f"claim and record among {wanted.trials:,} waiting, against {_FEW}"
    return [Row(what, database, ratio, "×", 2.0, detail=f"{spread(few, 'ms')}; {spread(many, 'ms')}")]


def _claim_and_record(storage: Storage, study: int) -> None:
    claimed = storage.queue.claim(study, 1)
    storage.queue.record([record(claim, 1) for claim in claimed], claimed)


def crowd(wanted: Namespace, databases: Databases, database: str) -> list[Row]:
    """Compare in turn how many trials one worker and many end in a second, in stacks of one, without cost."""
    rates: dict[int, list[float]] = {1: [], wanted.workers: []}
    for turn in range(wanted.rounds):
        for workers in sorted(rates, reverse=bool(turn % 2)):  # a drift of the machine affects both
            with databases.new(database) as place:
                study = open_stage(place, wanted.slots)
                results = at_once(workers, _work, place.location, study, wanted.slots, workers)
                lasted = max(each.ended for each in results) - min(each.began for each in results)
                counted = place.count("SELECT count(*) FROM trials WHERE state = 'COMPLETE'")
                claimed = [number for each in results for number in each.numbers]
                if counted != wanted.slots or sorted(claimed) != [*range(wanted.slots)]:
                    raise SystemExit(f"{database}: {counted} of {wanted.slots} trials ended, {len(claimed)} claimed.")
                rates[workers].append(wanted.slots / lasted)
    one, many = rates.values()
    ratio = statistics.median(many) / statistics.median(one)
    what = f"trials a second of {wanted.workers} workers, against 1"
    detail = f"{spread(one, '/s')}; {spread(many, '/s')}"
    return [Row(what, database, ratio, "×", 0.8, at_least=True, detail=detail)]


def _work(barrier: Any, location: Location, study: int, slots: int, workers: int) -> ProcessResult:
    result = ProcessResult(0.0)
    with closing(open_storage(location, writing=True)) as storage:
        worker = worker_of(storage, study, slots, Trivial(), 1, workers)
        worker.on_claimed = result.numbers.extend
        barrier.wait(300)
        result.began = time.monotonic()
        worker.work()
        result.ended = time.monotonic()
    return result


def readers(wanted: Namespace, databases: Databases, database: str) -> list[Row]:
    """Measure the commands that read a campaign of many trials, and the start of a run and of a worker."""
    rows: list[Row] = []
    for ended, programs in ((wanted.trials, ("status", "best", "report")), (wanted.trials // 2, ("run", "worker"))):
        with databases.new(database) as place:
            file = campaign_of(place.folder, "scale", wanted.trials)
            make(place.location, file, ended)
            for program in programs:
                if program in _COMMANDS:
                    arguments = (*_COMMANDS[program], "--storage", place.address)
                else:
                    arguments = ("-P", "-m", "scales.first_claim", program, str(file), place.address)
                costs = [cost_of(arguments, place.folder) for _ in range(wanted.rounds)]
                name = program if program in _COMMANDS else f"{program}, to its first claim"
                rows += _cost_rows(f"{name}, {wanted.trials:,} trials, {ended:,} ended", database, costs)
    return rows


def _cost_rows(what: str, database: str, costs: Sequence[Cost]) -> list[Row]:
    seconds, memory = [cost.seconds for cost in costs], [cost.megabytes for cost in costs]
    processor = spread([cost.processor for cost in costs], "s of a processor")
    return [
        Row(what, database, statistics.median(seconds), "s", _SECONDS, detail=f"{spread(seconds, 's')}; {processor}"),
        Row(what, database, max(memory), "MB", _MEGABYTES, detail=spread(memory, "MB")),
    ]


def backups(wanted: Namespace, databases: Databases, database: str) -> list[Row]:
    """Measure the copy of a SQLite file that holds many campaigns."""
    if database != "SQLite":
        return []
    with databases.new(database) as place:
        path = Path(place.address)
        make_many(place.location, place.folder, wanted.campaigns)
        seconds = [_seconds(partial(sqlite.back_up, path, "stage")) for _ in range(max(3, wanted.rounds))]
        what = f"copy of a file with {wanted.campaigns} campaigns"
        detail = f"{spread(seconds, 's')}, {path.stat().st_size / 1e6:.0f} MB"
        return [Row(what, database, statistics.median(seconds), "s", 0.2, detail=detail)]


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def processes(wanted: Namespace, databases: Databases, database: str) -> list[Row]:  # noqa: ARG001 - as the others
    """Count the worker processes that a run of two trials starts if it is asked for twelve."""
    with databases.new(database) as place:
        file = campaign_of(place.folder, "two", 2)
        arguments = ("-m", "coarsefine", "run", str(file), "--storage", place.address, "--workers", "12", "--quiet")
        cost_of(arguments, place.folder)
        started = len([*place.folder.rglob("worker-*.log")])
    return [Row("worker processes for 2 trials with --workers 12", database, started, "", 2)]


def bootstrap(wanted: Namespace, databases: Databases, database: str) -> list[Row]:
    """Measure the memory for the verdict on 100 finalists."""
    if database != "SQLite":  # it has no database
        return []
    with databases.new(database) as place:
        cost = cost_of(("-c", _BOOTSTRAP.format(seeds=wanted.seeds)), place.folder)
    what = f"verdict on 100 finalists with {wanted.seeds:,} seeds"
    return [Row(what, "none", cost.megabytes, "MB", _MEGABYTES, detail=f"{cost.seconds:.3g} s")]


MEASURES = {
    "claims": claims, "crowd": crowd, "readers": readers, "backups": backups, "processes": processes,
    "bootstrap": bootstrap,
}  # fmt: skip
