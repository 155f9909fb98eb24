"""Measure what the calls of a user's code cost: milliseconds for each trial of code that does nothing.

With `--before`, a checkout of another version, both run in turn, each time in a new process, and the script prints the
median of the ratios of each pair. Elapsed time is that from the start of a campaign's first trial to the end of its
last one. With one worker, the processor time of the whole campaign and all its processes is printed, too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_MODULE = """
from coarsefine import batched

def plain(point, seed, report):
    for _ in range({reports}):
        report(point["a"])
    return point["a"]

@batched
def batch(points, seeds, report):
    going, values = range(len(points)), [point["a"] for point in points]
    for _ in range({reports}):
        going = report([values[position] for position in going])
    return [values[position] for position in going]

def optuna(trial):
    a = trial.suggest_float("a", 0.1, 1.0, log=True)
    for epoch in range({reports}):
        trial.report(a, epoch)
        if trial.should_prune():
            import optuna
            raise optuna.TrialPruned
    return a
"""
_COMMAND = 'i=0; while [ $i -lt {epochs} ]; do echo {{a}} >> "$COARSEFINE_REPORT"; i=$((i + 1)); done'
_CAMPAIGN = """
name = "calls"
epochs = {epochs}
{code}
[[stage]]
name = "coarse"
trials = {trials}
space = {{ a = [0.1, 1.0] }}
{pruner}
"""
_RUN = """
import json, os, sqlite3
from coarsefine import Campaign, run

SPAN = "SELECT 86400 * (julianday(max(datetime_complete)) - julianday(min(datetime_start))) FROM trials"

def spent():
    return sum(os.times()[:4])

if __name__ == "__main__":
    campaign = Campaign.load("calls.toml")
    run(Campaign.load("warm.toml"), "warm.db")
    before = spent()
    run(campaign, "studies.db", workers={workers})
    processor = spent() - before
    ((elapsed,),) = sqlite3.connect("studies.db").execute(SPAN)
    print(json.dumps([elapsed, processor]))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/calls", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--form", choices=["plain", "batch", "optuna", "command"], default="plain")
    parser.add_argument("--halving", action="store_true", help="prune after a fifth and a half of the epochs")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=[1], nargs="+", help="numbers of epochs to measure")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--times", type=int, default=5)
    wanted = parser.parse_args()
    versions = {"now": Path(__file__).resolve().parents[1]}
    if wanted.before is not None:
        versions["before"] = wanted.before.resolve()
    for epochs in wanted.epochs:
        found: dict[str, list[list[float]]] = {name: [] for name in versions}
        for turn in range(wanted.times):
            for name in sorted(versions, reverse=bool(turn % 2)):  # neither is always the first
                found[name].append([1000 * each / wanted.trials for each in seconds(versions[name], wanted, epochs)])
        print(f"{epochs} epochs" if epochs > 1 else "no report")
        for index, what in enumerate(("elapsed", "processor") if wanted.workers == 1 else ("elapsed",)):
            show(what, {name: [each[index] for each in pairs] for name, pairs in found.items()})


def show(what: str, found: dict[str, Sequence[float]]) -> None:
    """Print the times of each version, and their ratios."""
    for name, each in found.items():
        print(f"  {what:>9} {name:>6}: {spread(each, '.3f')} ms a trial")
    if "before" in found:
        ratios = [now / before for now, before in zip(found["now"], found["before"], strict=True)]
        print(f"  {what:>9}  ratio: {spread(ratios, '.2f')}")


def spread(values: Sequence[float], form: str) -> str:
    """Return the median, with the least, the greatest and the number."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}}, n = {len(values)})"


def seconds(checkout: Path, wanted: argparse.Namespace, epochs: int) -> list[float]:
    """Return how long a campaign takes, and how much processor time."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "trivial.py").write_text(_MODULE.format(reports=epochs if epochs > 1 else 0), "utf-8")
        (place / "run.py").write_text(_RUN.replace("{workers}", str(wanted.workers)), "utf-8")
        words = ["sh", "-c", _COMMAND.format(epochs=epochs)]
        code = f"command = {json.dumps(words)}" if wanted.form == "command" else f'objective = "trivial:{wanted.form}"'
        rungs = sorted({max(1, epochs // 5), max(1, epochs // 2)})
        pruner = f'pruner = "halving"\nrungs = {rungs}' if wanted.halving else ""
        for name, trials in (("calls", wanted.trials), ("warm", 2)):
            text = _CAMPAIGN.format(epochs=epochs, trials=trials, code=code, pruner=pruner)
            (place / f"{name}.toml").write_text(text, "utf-8")
        environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
        command = [sys.executable, "run.py"]
        answer = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
        if answer.returncode:
            sys.exit(answer.stderr)
        found: list[float] = json.loads(answer.stdout)
        return found


if __name__ == "__main__":
    main()
