"""Measure what the calls of a user's function cost: seconds for each trial of one that returns at once.

With `--before`, a checkout of another version, the two versions run in turn, each time in a new process with one
worker, and the script prints the ratio of their medians. The time is that of whole campaigns, without the imports.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

_FUNCTION = """
def train(point, seed, report):
    for _ in range({reports}):
        report(point["a"])
    return point["a"]
"""
_CAMPAIGN = """
name = "calls"
objective = "trivial:train"
epochs = {epochs}
[[stage]]
name = "coarse"
trials = {trials}
space = {{ a = [0.1, 1.0] }}
"""
_RUN = """
import time
from coarsefine import Campaign, run
campaign = Campaign.load("calls.toml")
run(Campaign.load("warm.toml"), "warm.db")
started = time.perf_counter()
run(campaign, "studies.db")
print(time.perf_counter() - started)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/calls", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--times", type=int, default=5)
    wanted = parser.parse_args()
    versions = {"now": Path(__file__).resolve().parents[1]}
    if wanted.before is not None:
        versions["before"] = wanted.before.resolve()
    found: dict[str, list[float]] = {name: [] for name in versions}
    for _ in range(wanted.times):
        for name, checkout in versions.items():
            found[name].append(seconds(checkout, wanted.trials, wanted.epochs) / wanted.trials)
    for name, each in found.items():
        print(f"{name:>6}: {1000 * statistics.median(each):.3f} ms a trial (median of {len(each)}: "
              f"{1000 * min(each):.3f} to {1000 * max(each):.3f})")  # fmt: skip
    if wanted.before is not None:
        print(f" ratio: {statistics.median(found['now']) / statistics.median(found['before']):.2f}")


def seconds(checkout: Path, trials: int, epochs: int) -> float:
    """Return how long a campaign of a trivial function takes."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "trivial.py").write_text(_FUNCTION.format(reports=epochs if epochs > 1 else 0), "utf-8")
        for name, number in (("calls", trials), ("warm", 2)):
            (place / f"{name}.toml").write_text(_CAMPAIGN.format(epochs=epochs, trials=number), "utf-8")
        environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
        command = [sys.executable, "-c", _RUN]
        answer = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
        return float(answer.stdout)


if __name__ == "__main__":
    main()
