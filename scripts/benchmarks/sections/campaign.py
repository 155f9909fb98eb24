"""Time a whole campaign on one core with everything counted, from the start of the process to its end."""

import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import campaigns
from benchmarks.findings import Finding, Plan, Row, Target
from benchmarks.kernels import AVX2, AVX512, title
from benchmarks.measure import Spread, best_peak
from benchmarks.processes import ContenderError, Group, start
from benchmarks.task import epoch_flops
from coarsefine import Campaign

_PEAKS = 3
"""Products measured before and after the run, each."""
_SHARES = {AVX512: 0.80, AVX2: 0.78}


def measure_campaign(plan: Plan) -> Finding:
    """Time the preset `paper`, or a short campaign of its shape, with each kernel, between products at the peak."""
    name, source = _campaign(plan)
    rows: list[Row] = []
    data: dict[str, Any] = {"campaign": name}
    for kernel in plan.kernels if plan.whole_paper else plan.kernels[:1]:
        plan.say(f"Running {name} to its end on one core, {title(kernel)} ...")
        new, data[kernel] = _measure(plan, name, source, kernel)
        rows += new
    return Finding("campaign", "A whole campaign on one core", rows, data)


def _measure(plan: Plan, name: str, source: str, kernel: str) -> tuple[list[Row], dict[str, Any]]:
    with Group([plan.core], contender="peak", size=plan.peak_size) as peak:
        peak.ask("warm")
        peaks = [peak.ask("round") for _ in range(_PEAKS)]
        seconds, epochs = _run(plan, source, kernel)
        peaks += [peak.ask("round") for _ in range(_PEAKS)]
    flops = epochs * epoch_flops(_images(source), int(Campaign.load(source).network.model.fixed["hidden"]))
    share = flops / 1e9 / seconds / best_peak(peaks)[1].median
    note = f"{epochs:,} epochs of trials; its final training, storage, reading the data and imports included"
    target = Target(_SHARES[kernel], "at least") if kernel in _SHARES else None
    rows = [
        Row(f"{title(kernel)}: {name}, wall clock", Spread.of([seconds]), "s", note=note),
        Row(f"{title(kernel)}: share of the peak over it", Spread.of([share]), "", target=target, note=_fair(plan)),
    ]
    return rows, {"epochs": epochs, "seconds": seconds, "peaks": [one[0] for one in peaks]}


def _campaign(plan: Plan) -> tuple[str, str]:
    if plan.whole_paper:
        return "the preset paper", "paper"
    path = plan.folder / "short.toml"
    text = campaigns.write_paper_shaped(path, images=plan.images, trials=plan.stage_trials, epochs=plan.stage_epochs)
    return "a short campaign", text


def _fair(plan: Plan) -> str:
    return "" if plan.whole_paper else "too short a campaign for the target: imports weigh more"


def _images(source: str) -> int:
    return len(Campaign.load(source).network.data.options["train"]) * 10_000


def _run(plan: Plan, source: str, kernel: str) -> tuple[float, int]:
    """Return the seconds of a run, and how many epochs of single trials it trained."""
    storage = plan.folder / f"campaign-{kernel}.db"
    began = time.perf_counter()
    arguments = ["benchmarks.single_process", source, str(storage), str(plan.source)]
    process = start(arguments, plan.core, kernel, stderr=subprocess.PIPE)
    _, complaint = process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode:
        raise ContenderError(f"a campaign ended with exit code {process.returncode}: {complaint.strip()[-500:]}")
    campaign = Campaign.load(source)
    assert campaign.final is not None, "a network's campaign has one"  # noqa: S101
    final = (
        campaign.final.seeds * campaign.final.epochs + campaign.network.model.epochs
    )  # the winner's trial is reproduced first
    return seconds, recorded_epochs(storage) + final


def recorded_epochs(storage: Path) -> int:
    """Return how many epochs of trials a storage holds; 0 if there is no storage yet."""
    if not storage.exists():
        return 0
    with closing(sqlite3.connect(storage, timeout=30)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM trial_intermediate_values").fetchone()[0])
        except sqlite3.OperationalError:  # the file exists, but not its tables
            return 0
