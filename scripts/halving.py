"""Measure what halving saves and costs: the `cifar10` campaign with and without it, on half of its training images.

Trials have the report's 10 epochs, and the rungs are the default ones. Both campaigns of a pair use the same plan and
the same campaign seed. The script prints, and writes as JSON, the epochs trained with halving as a fraction of those
trained without, and the paired difference of the best validation accuracy.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from coarsefine import Campaign, run
from coarsefine.search.campaign.sections import Narrow
from coarsefine.search.results.campaign_studies import find_studies
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage

_EPOCHS = 10


@dataclass(frozen=True)
class Outcome:
    """The result of one campaign's search, without its final training."""

    epochs: int
    best: float


def main() -> None:
    """Run all pairs, as many at once as there are cores, and print the result."""
    wanted = parse()
    jobs = [(wanted.data, wanted.trials, seed, pruner) for seed in wanted.seeds for pruner in ("halving", "none")]
    with ProcessPoolExecutor(wanted.jobs, get_context("spawn")) as pool:
        outcomes = list(pool.map(search, *zip(*jobs, strict=True)))
    found = compare(wanted.seeds, outcomes[::2], outcomes[1::2])
    print(f"{'seed':>4}  {'epochs':>15}  {'best with':>9}  {'best without':>12}")
    for row in found["pairs"]:
        print(f"{row['seed']:>4}  {row['epochs_with']:>6} of {row['epochs_without']:>5}  {row['best_with']:>9.2%}  "
              f"{row['best_without']:>12.2%}")  # fmt: skip
    print(f"Epochs trained: {found['share_of_epochs']:.1%}. Best validation accuracy, with less without: "
          f"{100 * found['difference']:+.2f} points ± {100 * found['standard_error']:.2f} (standard error, "
          f"n = {len(wanted.seeds)} campaign seeds).")  # fmt: skip
    wanted.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/halving", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("COARSEFINE_DATA"), help="CIFAR-10")
    parser.add_argument("--seeds", type=int, default=10, help="campaign seeds, from 1")
    parser.add_argument("--trials", type=int, default=50, help="trials of each stage")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="campaigns at once")
    parser.add_argument("--json", type=Path, default=Path("halving.json"), help="where the figures go")
    wanted = parser.parse_args()
    wanted.seeds = range(1, wanted.seeds + 1)
    return wanted


def search(data: Path | None, trials: int, seed: int, pruner: str) -> Outcome:
    """Run one campaign's three stages and a final training of one epoch."""
    preset = Campaign.load("cifar10")
    same = {"trials": trials, "pruner": pruner, "rungs": None}
    stages = [stage.model_copy(update={**same, "narrow": stage.narrow and Narrow(top=8)}) for stage in preset.stage]
    campaign = preset.model_copy(
        update={
            "seed": seed,
            "stage": stages,
            "confirm": None,
            "model": preset.network.model.model_copy(update={"epochs": _EPOCHS, "mirror": False}),
            "data": preset.network.data.model_copy(update={"train": ["data_batch_1"], "held_out": 0}),
            "final": preset.network.final.model_copy(update={"epochs": 1}),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "studies.db"
        run(campaign, path, data=data)
        storage = open_storage(locate(path))
        studies = find_studies(storage, campaign.name).values()
        storage.close()
    outcome = Outcome(
        sum(len(trial.intermediate_values) for study in studies for trial in study.trials),
        max(trial.value or 0.0 for study in studies for trial in study.best(1)),
    )
    print(f"seed {seed}, {pruner}: {outcome}", file=sys.stderr, flush=True)
    return outcome


def compare(seeds: range, halved: list[Outcome], whole: list[Outcome]) -> dict[str, Any]:
    """Return the pairs, the fraction of epochs trained, and the mean difference with its standard error."""
    differences = [a.best - b.best for a, b in zip(halved, whole, strict=True)]
    return {
        "pairs": [
            {
                "seed": seed,
                "epochs_with": a.epochs,
                "epochs_without": b.epochs,
                "best_with": a.best,
                "best_without": b.best,
            }
            for seed, a, b in zip(seeds, halved, whole, strict=True)
        ],
        "share_of_epochs": sum(a.epochs for a in halved) / sum(b.epochs for b in whole),
        "difference": statistics.mean(differences),
        "standard_error": statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else 0.0,
    }


if __name__ == "__main__":
    main()
