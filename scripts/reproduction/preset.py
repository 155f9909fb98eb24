"""The second page: the result of the preset `cifar10`, and the gain of a third searched parameter if measured."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from coarsefine import Campaign
from coarsefine.search.errors import UsageError
from reproduction.beyond import worth_of_steps
from reproduction.findings import Outcomes
from reproduction.markdown import quick_warning, section, table
from reproduction.pictures import ALL_STEPS
from reproduction.plan import HIDDEN, LABELS, PRESET, Plan
from reproduction.spread import Spread, lowest_to_highest, percent

_GOAL = 0.5
"""Test accuracy that the preset should reach with the report's 50 hidden units."""
_ALIKE = ("quick", "images", "trainings", "seeds")
"""Conditions that both pages must share."""


@dataclass(frozen=True, slots=True)
class Winner:
    """The choice of a campaign, and the results of its final trainings."""

    seed: int
    params: Mapping[str, Any]
    tests: tuple[float, ...]
    """Test accuracy of each final training."""
    ensemble: float
    """Test accuracy of their ensemble."""


@dataclass(frozen=True, slots=True)
class Before:
    """Numbers taken from the report's page."""

    tests: Mapping[str, Spread]
    """Test accuracies of its steps."""
    machine: str
    """The machine that measured them."""


@dataclass(frozen=True, slots=True)
class Steps:
    """All numbers of the page."""

    machine_before: str
    """The machine that measured the steps of the report's page."""
    tests: Mapping[str, Spread]
    """Mean test accuracy of each campaign's final trainings, for each step in order, the report's page first."""
    winners: Mapping[str, list[Winner]]
    """The results of this page's own steps, one per campaign."""


def steps_before(report: Path, conditions: Mapping[str, Any]) -> Before:
    """Return the steps of the report's page from the file `report`.

    Raises `UsageError` if it is missing, incomplete, or measured under other conditions.
    """
    try:
        page = json.loads(report.read_text("utf-8"))
        tests = {step["key"]: Spread.of(step["test"]["values"]) for step in page["steps"]}
        machine = str(page["conditions"]["machine"])
        there = {name: page["conditions"][name] for name in _ALIKE}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{report} cannot be read ({error!r}): measure the report first, by --part report.") from error
    for name, value in there.items():
        if value != conditions[name]:
            raise UsageError(
                f"{report} was measured with {name} = {value}, not {conditions[name]}: measure both parts alike."
            )
    return Before(tests, machine)


def find_steps(measured: Outcomes, plan: Plan, before: Before) -> Steps:
    """Return the findings, after the steps of the report's page."""
    winners = {
        kind: [_winner(seed, outcome, kind) for seed, outcome in zip(plan.seeds, outcomes, strict=True)]
        for kind, outcomes in measured.items()
    }
    own = {kind: Spread.of([fmean(winner.tests) for winner in of_kind]) for kind, of_kind in winners.items()}
    return Steps(before.machine, {**before.tests, **own}, winners)


def _winner(seed: int, outcome: Mapping[str, Any], kind: str) -> Winner:
    final = outcome["steps"][kind]
    return Winner(seed, outcome["status"]["winner"]["params"], tuple(final["test"]), final["ensemble"])


def write_preset_page(found: Steps, conditions: Mapping[str, Any]) -> str:
    """Return the whole page."""
    return "\n\n".join([_head(found, conditions), _steps(found, conditions), _winners(found)]) + "\n"


def _head(found: Steps, conditions: Mapping[str, Any]) -> str:
    seeds = conditions["seeds"]
    lines = [
        f"# The preset cifar10{', and hidden units searched, too' * (HIDDEN in found.tests)}",
        "After this page you can judge what each step of the preset `cifar10` gains, and see which settings won.",
        quick_warning(conditions),
        "The steps that follow those of [the report's page](README.md), from which steps 0 to 4 are taken. The others, "
        f"this page, its picture and [its numbers](preset.json) are by `{conditions['command']}`, from "
        f"{conditions['core_minutes']:.0f} minutes of a core.",
        f"Campaign seeds: {', '.join(map(str, seeds))} (n = {len(seeds)}), as there. `a ± b` is a mean over the seeds "
        "with half its 95 % interval (Student's t).",
        f"Images: {conditions['images']}{_held_out(conditions)}. Machine: {conditions['machine']}; "
        f"{conditions['versions']}. Steps 0 to 4: {found.machine_before}. Another arithmetic rounds sums "
        "otherwise: with it, another setting may win.",
    ]
    return "\n\n".join(filter(None, lines))


def _held_out(conditions: Mapping[str, Any]) -> str:
    held_out = conditions["held_out"]
    note = f"; the preset holds the last {held_out:,} of those for training out until its final training, to validate"
    return note if held_out else ""  # the digits in the quick form


def _steps(found: Steps, conditions: Mapping[str, Any]) -> str:
    reached = sum(value >= _GOAL for value in found.tests[PRESET].values)
    return section(
        "Test accuracy after each step",
        *worth_of_steps(found.tests, ALL_STEPS, conditions),
        f"With the report's 50 hidden units, {reached} of {len(conditions['seeds'])} campaigns come to "
        f"{percent(_GOAL)} or more.",
        "The test images are used once for each final training, after its last epoch; ranges, finalists and winners "
        "are chosen by validation images. But the preset itself was settled after test accuracies of these images had "
        "been seen: its trials have 30 epochs since steps 0 to 4 had shown what a search of 10 overlooks; its final "
        "training has 60 at the usual decay since 40 had come to 49.80 % with seed 1, and validation images had "
        "preferred 60; and it judges by 5,000 images, narrows by its three best and confirms four over 60 epochs since "
        "by 1,000 images, eight best, and six over 30 epochs, its five campaigns had come to 49.51 ± 0.91 %, with "
        "choices that 1,000 images cannot tell apart. A final training that decays by 0.92 an epoch, which validation "
        "images had preferred, was tried on the winners of seeds 1 and 2, came to 0.29 and 0.21 points less, and was "
        "left. `mirror` came after all these measurements, and is off in them.",
    )


def _winners(found: Steps) -> str:
    usual = Campaign.load("cifar10").network.model.fixed["hidden"]
    rows = [
        (
            LABELS[kind].short.replace("\n", " "),
            str(winner.seed),
            *(f"{winner.params[name]:.3g}" for name in ("eta", "lambda")),
            str(winner.params.get("hidden", f"{usual}, not searched")),
            lowest_to_highest(Spread.of(winner.tests)),
            percent(winner.ensemble),
        )
        for kind, winners in found.winners.items()
        for winner in winners
    ]
    columns = ("step", "campaign", "η", "λ", "hidden units", "test accuracies", "of all together")
    return section(
        "The winners",
        "Of each campaign: what it chose, the lowest and highest test accuracy of its final trainings, and that of the "
        "mean of their probabilities.",
        table(columns, rows),
    )
