"""Measure what readers cost: readers and event streams on 1,000 trials while workers write; and what strangers do.

The script prints, and writes as JSON, errors, the time until the data of a page is complete, the workers' rate with
and without readers in turn, the time for the page of a study with 10,000 trials, and how long the owner of the token
waits while strangers hold connections open. `--part strangers` measures only the last. Readers, server and workers
share one machine, so the processor time of the readers counts against the server.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from loads.browser import seconds_to_draw
from loads.processes import epochs, server, workers
from loads.readers import Crowd, Seen, look, look_once
from loads.strangers import Siege, measure_strangers
from loads.studies import campaign_of, make_studies

_SETTLE_SECONDS = 1.0


@dataclass(frozen=True)
class Row:
    """One promise and the measured value."""

    what: str
    found: float
    unit: str
    most: float

    @property
    def kept(self) -> bool:
        """Return whether the promise was kept."""
        return self.found <= self.most

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"what": self.what, "found": self.found, "unit": self.unit, "most": self.most, "kept": self.kept}


def main() -> None:
    """Measure, print and write."""
    wanted = parse()
    report: dict[str, Any] = {"machine": machine(), "asked": vars(wanted) | {"json": str(wanted.json)}, "errors": []}
    with tempfile.TemporaryDirectory() as folder:
        if wanted.part != "strangers":
            report |= measure_busy(Path(folder), wanted) | measure_large(Path(folder), wanted)
        if wanted.part != "readers":
            report["strangers"] = measure_sieges(Path(folder), wanted)
    rows = [*(judge(wanted, report) if wanted.part != "strangers" else ()), *judge_sieges(report.get("strangers", []))]
    report["rows"] = [row.as_dict() for row in rows]
    for row in rows:
        print(
            f"{row.what:<64} {row.found:>9.3g} {row.unit:<3} at most {row.most:g}: {'kept' if row.kept else 'MISSED'}"
        )
    for error in report["errors"][:10]:
        print(error, file=sys.stderr)
    wanted.json.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    failed = report["errors"] or any(siege["errors"] for siege in report.get("strangers", []))
    sys.exit(bool(failed))  # times depend on the machine as well, so the reader judges them


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/load", description=(__doc__ or "").partition("\n")[0])
    quick = "--quick" in sys.argv
    parser.add_argument("--quick", action="store_true", help="small, to see that it works")
    parser.add_argument("--part", choices=("all", "readers", "strangers"), default="all", help="what to measure")
    parser.add_argument("--readers", type=int, default=10 if quick else 100)
    parser.add_argument("--streams", type=int, default=4 if quick else 20)
    parser.add_argument("--pause", type=float, default=0.5 if quick else 5.0, help="seconds a reader looks at a page")
    parser.add_argument("--trials", type=int, default=90 if quick else 1000, help="of the campaign with workers")
    parser.add_argument("--large", type=int, default=60 if quick else 10_000, help="trials of the large study")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--seconds", type=float, default=1.5 if quick else 15.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=1 if quick else 4, help="with readers and without, in turn")
    parser.add_argument("--json", type=Path, default=Path("load.json"), help="where the figures go")
    return parser.parse_args()


def measure_busy(folder: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    """Measure readers and workers together, on a campaign of three stages whose last stage is being trained."""
    ended = wanted.trials // 5
    campaign = campaign_of("load", [ended, ended, wanted.trials - 2 * ended])
    storage = folder / "busy.db"
    make_studies(storage, campaign, 2)
    rates: dict[bool, list[float]] = {False: [], True: []}
    seen, spent = Seen(), 0.0
    with server(storage) as (port, process), workers(storage, campaign.name, wanted.workers):
        for place in range(wanted.rounds):
            for read in (False, True) if place % 2 else (True, False):  # a drift of the machine affects both
                time.sleep(0.0 if wanted.quick else _SETTLE_SECONDS)
                before = cpu_seconds(process)
                rates[read].append(rate_of(storage, partial(look_on, port, wanted, read, seen)))
                spent += cpu_seconds(process) - before
    if min(rates[False] + rates[True]) == 0:
        raise SystemExit("The stage ended during the measurement: give fewer --rounds or --seconds, or more --trials.")
    return {
        "page": summary(seen.pages),
        "answer": summary(seen.answers),
        "events": seen.events,
        "megabytes": round(seen.bytes / 1e6, 1),
        "errors": seen.errors,
        "epochs_a_second": {"alone": rates[False], "together": rates[True]},
        "server_seconds_a_second": spent / (wanted.rounds * wanted.seconds),
    }


def look_on(port: int, wanted: argparse.Namespace, read: bool, seen: Seen) -> None:
    """Let readers read while a measurement lasts, or none."""
    if not read:
        time.sleep(wanted.seconds)
        return
    crowd = Crowd(wanted.readers, wanted.streams, wanted.seconds, wanted.pause)
    asyncio.run(look(port, "load", "stage-2", crowd, seen))


def rate_of(storage: Path, work: Callable[[], None]) -> float:
    """Return the epochs per second that the workers record while `work` runs."""
    count, began = epochs(storage), time.monotonic()
    work()
    return (epochs(storage) - count) / (time.monotonic() - began)


def cpu_seconds(process: psutil.Process) -> float:
    """Return how much processor time a process has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def measure_large(folder: Path, wanted: argparse.Namespace) -> dict[str, Any]:
    """Measure the page of one large study from a newly started server, twice."""
    campaign = campaign_of("large", [wanted.large])
    storage = folder / "large.db"
    make_studies(storage, campaign, 1)
    with server(storage) as (port, _):
        first, again = Seen(), Seen()
        for seen in (first, again):
            asyncio.run(look_once(port, "large", "stage-0", seen))
        return {
            "large_first": first.pages[0],
            "large_again": again.pages[0],
            "large_drawn": None if wanted.quick else seconds_to_draw(f"http://127.0.0.1:{port}/campaigns/large"),
        }


def measure_sieges(folder: Path, wanted: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure the owner's answers while strangers hold connections, with the usual descriptors and with few."""
    storage = folder / "besieged.db"
    make_studies(storage, campaign_of("besieged", [12]), 1)
    sieges = [Siege(200, 128)] if wanted.quick else [Siege(1000, 1024), Siege(200, 128)]
    return [measure_strangers(storage, siege, wanted.seconds) for siege in sieges]


def judge_sieges(found: list[dict[str, Any]]) -> list[Row]:
    """Return what is promised to the owner of the token, with its measured value."""
    return [
        row
        for siege in found
        for who in [f"{siege['strangers']} strangers, {siege['descriptors']} descriptors"]
        for row in (
            Row(f"{who}: errors of the owner", len(siege["errors"]), "", 0),
            Row(f"{who}: slowest of {len(siege['answers'])} answers", 1000 * max(siege["answers"]), "ms", 1000),
            Row(f"{who}: lines of the log", siege["log_lines"], "", 100),
        )
    ]


def judge(wanted: argparse.Namespace, report: dict[str, Any]) -> list[Row]:
    """Return each promise with its measured value."""
    rates = report["epochs_a_second"]
    fall = 1 - statistics.fmean(rates["together"]) / statistics.fmean(rates["alone"])
    who = f"{wanted.readers} readers, {wanted.streams} streams, {wanted.trials} trials"
    drawn = report["large_drawn"]
    return [
        Row(f"errors: {who}", len(report["errors"]), "", 0),
        Row("one answer of a page, 95th percentile", 1000 * report["answer"]["p95"], "ms", 300),
        Row(
            "a whole page's data, one answer after the other, 95th percentile", 1000 * report["page"]["p95"], "ms", 300
        ),
        Row(f"{wanted.workers} workers' epochs a second, fall while they look on", 100 * fall, "%", 5),
        Row(f"data of a page of {wanted.large} trials, the server just started", report["large_first"], "s", 3),
        Row("the same again", report["large_again"], "s", 3),
        *([Row("the same, drawn by Chromium", drawn, "s", 3)] if drawn is not None else []),
    ]


def summary(seconds: list[float]) -> dict[str, float]:
    """Return count, median, 95th percentile and maximum."""
    ranked = sorted(seconds)
    p95 = ranked[min(len(ranked) - 1, int(0.95 * len(ranked)))]
    return {"n": len(ranked), "median": statistics.median(ranked), "p95": p95, "max": ranked[-1]}


def machine() -> dict[str, Any]:
    """Return the machine, and its load before the measurement."""
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load_average": os.getloadavg(),
    }


if __name__ == "__main__":
    main()
