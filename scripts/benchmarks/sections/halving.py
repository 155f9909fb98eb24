"""What halving saves and costs: read from the output of `scripts/halving`, which trains for an hour."""

import json
from pathlib import Path

from benchmarks.findings import Finding, Plan, Row, Target
from benchmarks.measure import Spread

_MEASURED = Path("halving.json")


def measure_halving(plan: Plan) -> Finding:
    """Return the figures of `scripts/halving` if it was run in this folder."""
    share, loss = Target(0.45, "at most"), Target(0.3, "at most")
    pairs = []
    if _MEASURED.is_file():
        plan.say(f"Reading {_MEASURED} ...")
        pairs = json.loads(_MEASURED.read_text("utf-8"))["pairs"]
    epochs = [pair["epochs_with"] / pair["epochs_without"] for pair in pairs]
    points = [100 * (pair["best_without"] - pair["best_with"]) for pair in pairs]
    note = "campaign seeds, with and without" if pairs else "scripts/halving measures it, in about an hour"
    mean = f"; mean {sum(points) / len(points):.2f}" if points else ""
    rows = [
        Row("epochs trained with halving, of those without", _spread(epochs), "", target=share, note=note),
        Row("best validation accuracy lost to it", _spread(points), "points", target=loss, note=note + mean),
    ]
    return Finding("halving", "Halving", rows, {"pairs": pairs})


def _spread(samples: list[float]) -> Spread | None:
    return Spread.of(samples) if samples else None
