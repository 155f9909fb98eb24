"""Inject faults, and check what remains: `scripts/chaos`.

What a full run found is in `docs/faults.md`, which `--page docs/faults.md` writes.

Everything is drawn from --seed: which worker dies, after how many slots, in which epoch another sleeps, how large a
disk is. The exact moment of a signal depends on the machine. The exit code is 1 if a promise is broken, or if a time is
missed in the full form; the quick form shows times and does not judge them.
"""

import argparse
import datetime
import json
import os
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import postgres
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from chaos_runs.boundaries import boundaries
from chaos_runs.campaigns import kill_all
from chaos_runs.cuts import cuts
from chaos_runs.disks import disks
from chaos_runs.disturbances import disturbances
from chaos_runs.findings import Plan, Row
from chaos_runs.kills import kills
from chaos_runs.lost_time import lost_time
from chaos_runs.page import write_page
from chaos_runs.places import NAMES, Databases, databases
from chaos_runs.race import race, speed
from chaos_runs.zombies import zombies
from coarsefine.search.errors import SearchError

_EXPERIMENTS: dict[str, Callable[[Plan, str], list[Row]]] = {
    "kills": kills,
    "time": lost_time,
    "boundaries": boundaries,
    "zombies": zombies,
    "disturbances": disturbances,
    "race": race,
    "disks": disks,
    "cuts": cuts,
    "speed": speed,
}
_FULL: dict[str, Any] = {
    "timed_kills": 10,
    "timed_stacks": 10,
    "boundary_rounds": 3,
    "zombies": 20,
    "disturbed": 25,
    "race_slots": 2000,
    "full_disks": 20,
    "cuts": 6,
    "cut_epochs": 16,
    "speed_trials": 400,
    "speed_rounds": 3,
}
_QUICK: dict[str, Any] = {
    "timed_kills": 2,
    "timed_stacks": 4,
    "boundary_rounds": 0,
    "zombies": 2,
    "disturbed": 1,
    "race_slots": 320,
    "full_disks": 2,
    "cuts": 2,
    "cut_epochs": 6,
    "speed_trials": 40,
    "speed_rounds": 1,
}
_FULL_RUNS, _QUICK_RUNS = 50, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiments, print a table and write JSON; return 1 if a promise is broken."""
    options = _parse(arguments)
    if options.join:
        options.page.write_text(write_page(*(json.loads(file.read_text("utf-8")) for file in options.join)), "utf-8")
        return 0
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # so that our server and runs do not outlive us
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="coarsefine-chaos-") as folder:
        os.environ["COARSEFINE_CACHE"] = str(Path(folder) / "cache")
        found = databases(Path(folder), options.on, options.postgres)
        try:
            plan = _plan(options, found, Path(folder))
            rows = [row for name in options.only or _EXPERIMENTS for row in _all(plan, name)]
        finally:
            kill_all()
            found.close()
    missing = [postgres.WANTED] if {*options.on} - {*found.names} else []
    _write(options, rows, missing, time.monotonic() - began, arguments)
    _print(rows, missing)
    broken = any(row.verdict in {"broken", "missed"} for row in rows)
    return int(broken or bool(missing and _in_ci()))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/chaos", description="Break things on purpose, and show what is left."
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="a minute or two: everything once or twice, and no time is judged")
    add("--seed", type=int, default=0, metavar="N", help="draws what is broken, and when")
    add("--runs", type=int, metavar="N", help=f"runs that lose workers, on all databases; default {_FULL_RUNS}")
    add("--postgres", metavar="URL", help="an empty database, which is emptied again; default: a server of our own")
    add("--json", type=Path, default=Path("chaos.json"), metavar="FILE", help="default: %(default)s")
    add("--page", type=Path, metavar="FILE", help="write a page with the table as Markdown, too")
    add("--join", nargs="+", type=Path, default=(), metavar="FILE", help="only write the page of earlier runs' files")
    add("--on", nargs="+", choices=NAMES, default=NAMES, metavar="DATABASE", help=f"of {', '.join(NAMES)}")
    add("--only", nargs="+", choices=_EXPERIMENTS, metavar="WHAT", help=f"of {', '.join(_EXPERIMENTS)}")
    options = parser.parse_args(arguments)
    for option, file in (("--json", options.json), ("--page", options.page)):
        if file is not None and not file.absolute().parent.is_dir():
            parser.error(f"{option} {file}: there is no such folder")
    for file in options.join:
        if not file.is_file():
            parser.error(f"--join {file}: there is no such file")
    if options.join and options.page is None:
        parser.error("--join needs --page")
    return options


def _plan(options: argparse.Namespace, found: Databases, folder: Path) -> Plan:
    runs = options.runs or (_QUICK_RUNS if options.quick else _FULL_RUNS)
    names = found.names
    each = {name: runs // len(names) + (place < runs % len(names)) for place, name in enumerate(names)}
    return Plan(
        seed=options.seed, quick=options.quick, kill_runs=each, databases=found, folder=folder, say=_say,
        **(_QUICK if options.quick else _FULL),
    )  # fmt: skip


def _all(plan: Plan, experiment: str) -> list[Row]:
    """Return the rows of an experiment on every database; a failing experiment does not stop the others."""
    rows = []
    for database in plan.databases.names:
        try:
            rows += _EXPERIMENTS[experiment](plan, database)
        except Exception as error:  # noqa: BLE001 - shown in its row and in the exit code
            traceback.print_exc()
            message = f"{database}: {type(error).__name__}: {error}"
            rows.append(Row(experiment, database, "–", "could not be tried", "", [message]))
    return rows


def _write(
    options: argparse.Namespace,
    rows: Sequence[Row],
    missing: Sequence[str],
    seconds: float,
    arguments: Sequence[str] | None,
) -> None:
    report = {
        "command": shlex.join(["scripts/chaos", *(sys.argv[1:] if arguments is None else arguments)]),
        "date": f"{datetime.datetime.now(tz=datetime.UTC).date():%d %B %Y}",
        "seed": options.seed,
        "quick": options.quick,
        "machine": describe_machine(),
        "seconds": round(seconds, 1),
        "missing": list(missing),
        "rows": [row.as_dict() for row in rows],
    }
    options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    if options.page is not None:
        options.page.write_text(write_page(report), "utf-8")
    _say(f"Written: {options.json}, after {seconds:.0f} s.")


def _print(rows: Sequence[Row], missing: Sequence[str]) -> None:
    table = Table("what", "database", "n", "seen", "promised", "verdict", box=box.SIMPLE)
    for row in rows:
        table.add_row(row.what, row.database, row.n, row.seen, row.promised, row.verdict)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # a file has no right margin
    console.print(table)
    for line in (line for row in rows for line in row.broken):
        console.print(f"BROKEN: {line}", markup=False, style="bold red")
    for line in missing:
        console.print(f"PostgreSQL was not tried: {line}", markup=False, style="yellow")


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SearchError as error:
        _say(str(error))
        sys.exit(error.exit_code)
