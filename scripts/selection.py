"""Simulate the choice of the winner with a known truth: how often each rule picks the truly best setting, at what loss.

Settings, their true accuracies and the noise of a seed come from a finished campaign with `[confirm]`. The noise is the
standard deviation within its finalists. The true accuracies are those of its completed trials, where the values of each
stage are shrunk towards their mean to remove the variance that the noise added. Each rule then has the same number of
trainings: the best of N + k·s trials, or N trials and k finalists on s new seeds each. "True" is the mean accuracy on
the same validation images over all seeds.
"""

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.campaign.winner import Candidate, choose_finalists, judge
from coarsefine.search.results.campaign_studies import find_studies
from coarsefine.search.results.outcome import verdict_of
from coarsefine.search.results.study import point_of, value_of
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class World:
    """Settings with their true accuracies, and the noise of a seed."""

    bounds: Space
    points: list[Point]
    truths: Floats
    noise: float
    finalists: int
    seeds: int


@dataclass(frozen=True, slots=True)
class Pick:
    """The setting that a rule picked in one simulated campaign."""

    best: bool
    """Whether it is the truly best of all settings that the rule tried."""
    truth: float
    regret: float
    """How far its true accuracy is below the best."""


def main() -> None:
    """Measure the noise, simulate, print, and write."""
    wanted = parse()
    report = study(wanted.storage, wanted.campaign, wanted.repetitions, wanted.seed)
    print(f"A seed's noise: {100 * report['noise']:.2f} points (standard deviation within the finalists).")
    for rule, found in report["rules"].items():
        true = f"{100 * found['truth']:.3f} ± {100 * found['truth_error']:.3f} %"
        print(
            f"{rule:<34} truly best {found['best']:.1%} ± {found['best_error']:.1%}, true accuracy {true}, "
            f"below the best {100 * found['regret']:.3f}"
        )
    wanted.json.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def study(storage: str | Path, campaign: str, repetitions: int, seed: int) -> dict[str, Any]:
    """Return the picks of each rule in campaigns simulated from the settings and noise of a finished one."""
    world = read_world(storage, campaign)
    rng = np.random.default_rng(seed)
    picks = [simulate(world, rng) for _ in range(repetitions)]
    return {
        "campaign": campaign,
        "trials": len(world.truths),
        "finalists": world.finalists,
        "seeds": world.seeds,
        "noise": world.noise,
        "spread of true accuracies": float(world.truths.std()),
        "repetitions": repetitions,
        "rules": {rule: summary([pick[rule] for pick in picks]) for rule in picks[0]},
    }


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/selection", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--storage", default="studies.db", help="where the campaign is")
    parser.add_argument("--campaign", default="cifar10", help="a finished one with [confirm]")
    parser.add_argument("--repetitions", type=int, default=2000, help="simulated campaigns")
    parser.add_argument("--seed", type=int, default=0, help="draws them")
    parser.add_argument("--json", type=Path, default=Path("selection.json"), help="where the figures go")
    return parser.parse_args()


def read_world(storage: str | Path, campaign: str) -> World:
    """Return settings, true accuracies and noise of a finished campaign."""
    opened = open_storage(locate(storage))
    studies = find_studies(opened, campaign)
    opened.close()
    verdict = verdict_of(studies.values())
    if verdict is None:
        sys.exit(
            f"{campaign} in {storage} has no finalists that were trained again: run it to its end, with [confirm]."
        )
    rows = np.array([f.values for f in verdict.finalists if f.confirmed], dtype=np.float64)
    noise = float(np.sqrt(rows.var(axis=1, ddof=1).mean()))
    searched = [study.best(len(study.trials)) for study in studies.values() if study.is_search]
    points = [point_of(trial) for trials in searched for trial in trials]
    truths = [shrunk(np.array([value_of(trial) for trial in trials]), noise) for trials in searched if trials]
    bounds = next(iter(studies.values())).space
    return World(bounds, points, np.concatenate(truths), noise, len(verdict.finalists), rows.shape[1])


def shrunk(values: Floats, noise: float) -> Floats:
    """Shrink values towards their mean until their variance is reduced by that of the noise."""
    spread = float(values.var(ddof=1)) if len(values) > 1 else 0.0
    share = math.sqrt(max(0.0, 1 - noise**2 / spread)) if spread else 0.0
    mean = float(values.mean())
    return mean + share * (values - mean)


def simulate(world: World, rng: np.random.Generator) -> dict[str, Pick]:
    """Simulate one campaign by each rule; the rules share trials as far as possible."""
    n, extra = len(world.truths), world.finalists * world.seeds
    drawn = rng.integers(0, n, size=n + extra)
    truths = world.truths[drawn]
    values = truths + world.noise * rng.standard_normal(n + extra)
    candidates = [Candidate("simulated", at, world.points[drawn[at]], float(values[at])) for at in range(n)]
    finalists = choose_finalists(candidates, world.finalists, 0.0, world.bounds)
    numbers = [finalist.number for finalist in finalists]
    again = truths[numbers, None] + world.noise * rng.standard_normal((len(numbers), world.seeds))
    verdict = judge(finalists, again.tolist(), seed=0)
    assert verdict.winner is not None  # noqa: S101 - none fails here
    return {
        "plain best of all trainings": _pick(truths, int(values.argmax())),
        "plain best of the search": _pick(truths[:n], int(values[:n].argmax())),
        "highest mean of the finalists": _pick(truths[:n], numbers[int(again.mean(axis=1).argmax())]),
        "the rule: simplest within an error": _pick(truths[:n], verdict.winner.number),
    }


def _pick(truths: Floats, number: int) -> Pick:
    best = float(truths.max())
    return Pick(bool(truths[number] >= best - 1e-12), float(truths[number]), best - float(truths[number]))


def summary(picks: list[Pick]) -> dict[str, float]:
    """Return means with their standard errors."""
    best, truth, regret = (np.array([getattr(p, name) for p in picks], dtype=np.float64) for name in Pick.__slots__)
    root = math.sqrt(len(picks))
    return {
        "best": float(best.mean()),
        "best_error": float(best.std(ddof=1)) / root,
        "truth": float(truth.mean()),
        "truth_error": float(truth.std(ddof=1)) / root,
        "regret": float(regret.mean()),
    }


if __name__ == "__main__":
    main()
