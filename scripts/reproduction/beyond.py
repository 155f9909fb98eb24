"""The second half of the report's page: what each step beyond it is worth, and how well the winner is chosen."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from reproduction.findings import Findings
from reproduction.markdown import picture, section, table
from reproduction.pictures import STEPS
from reproduction.plan import LABELS
from reproduction.spread import Spread, gain, lowest_to_highest, mean_of


def beyond(found: Findings, conditions: Mapping[str, Any]) -> str:
    """Return the section on the value of each step, on the test images."""
    longer = conditions["longer"]
    return section(
        "Beyond the report: the same network and method",
        *worth_of_steps({step.key: step.test for step in found.steps}, STEPS, conditions),
        "The test images are used once for each final training of this page, after its last epoch, and nothing is "
        "chosen by them: ranges, finalists and winners are chosen by the validation images, and the longer training "
        f"has {longer['epochs']} epochs and a decay of {longer['decay']:g}. From the step on that trains on the "
        "validation images, too, these measure nothing any more.",
        "What follows, the preset `cifar10`, has [a page of its own](preset.md).",
    )


def worth_of_steps(tests: Mapping[str, Spread], file: str, conditions: Mapping[str, Any]) -> list[str]:
    """Return the picture, table and verdict of steps in order, from their test accuracies by key."""
    gains = [None, *(after.less(before) for before, after in itertools.pairwise(tests.values()))]
    rows = [
        (str(place), LABELS[key].words, mean_of(test), lowest_to_highest(test), gain(more) if more else "–")
        for place, ((key, test), more) in enumerate(zip(tests.items(), gains, strict=True))
    ]
    columns = ("", "step, on top of those before it", "test accuracy", "lowest to highest", "gain in points")
    return [
        picture("Test accuracy of each campaign after each step", file),
        f"A campaign's value is the mean of {conditions['trainings']} final trainings, the first on the winner's own "
        "seed; gains are taken campaign by campaign.",
        table(columns, rows),
        _verdict(list(tests.values()), gains),
    ]


def _verdict(tests: Sequence[Spread], gains: Sequence[Spread | None]) -> str:
    whole = tests[-1].less(tests[0])
    gained = [str(place) for place, more in enumerate(gains) if more and more.estimate.low > 0]
    lost = [str(place) for place, more in enumerate(gains) if more and more.estimate.high < 0]
    open_ones = [str(place) for place, more in enumerate(gains) if more and str(place) not in (*gained, *lost)]
    verdicts = [
        ("gains", gained),
        ("loses", lost),
        ("cannot be distinguished from no change with so many campaigns", open_ones),
    ]
    by_step = "; ".join(f"step {' and '.join(places)} {what}" for what, places in verdicts if places)
    return f"All together: {gain(whole)} points. By their 95 % intervals, {by_step}."


def choice(found: Findings) -> str:
    """Return the section on the choice of the winner: the optimism of the highest value, and the simulated rules."""
    rows = [
        (rule, mean_of(shares.best), mean_of(shares.truth), f"{100 * shares.regret.mean:.2f}")
        for rule, shares in found.rules.items()
    ]
    columns = ("rule", "picks the truly best", "true accuracy of what it picks", "points below the best it tried")
    plain, means = (found.rules[rule].best for rule in (_PLAIN, _MEANS))
    more = means.less(plain)
    surely = more.estimate.low > 0 or more.estimate.high < 0
    verdict = ("more often than" if more.mean > 0 else "less often than") if surely else "as often as"
    return section(
        "How the winner is chosen",
        f"The highest value of a search is optimistic: trained again on new seeds, that setting came to "
        f"{gain(_negative(found.optimism))} points of it.",
        f"How often is the truly best setting picked? Simulated with known truth: {found.repetitions:,} campaigns for "
        f"each of the {len(more.values)} measured ones, from its own settings, whose noise of a seed is "
        f"{100 * found.noise.mean:.2f} ± {100 * found.noise.half:.2f} points (`scripts/selection`). Each rule has the "
        "same number of trainings, but for the search alone. True is the accuracy on the same validation images over "
        "all seeds.",
        table(columns, rows),
        f"With the same budget, the finalists' means pick the truly best {verdict} the plain best of all "
        f"trainings: {gain(more)} points.",
    )


_PLAIN, _MEANS = "plain best of all trainings", "highest mean of the finalists"


def _negative(spread: Spread) -> Spread:
    return Spread(tuple(-value for value in spread.values))
