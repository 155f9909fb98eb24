"""Narrowing: from the best trials of one stage to the space of the next. Pure functions.

For each range, in log space where it is log-uniform: the bounding box of the winners, a margin on both sides, at least
a given width, and never past the bounds the user set, unless the campaign lets it widen. Whole numbers are narrowed as
the range of their cells, and a choice to what winners chose.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from coarsefine.search.campaign.dimension import Choice, Dimension, Integer, Interval
from coarsefine.search.campaign.space import Point, Space


@dataclass(frozen=True, slots=True)
class Rule:
    """How far a stage closes in on the winners of its parent."""

    top: int
    """How many of the parent's best trials count as winners."""
    margin: float
    """Room left on either side of their box, as a share of its width."""
    least: float
    """Least width: of a log-uniform range in decades, of a linear one as a share of the range the user set."""
    widen: bool
    """Whether a range may leave the bounds the user set, where winners press against them."""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The next space, and the bounds of the user's that winners pressed against (`"eta high"`, `"lambda low"`)."""

    space: Space
    pressed: tuple[str, ...]


def narrow(winners: Sequence[Point], rule: Rule, bounds: Space, held: Collection[str] = ()) -> Narrowed:
    """Return the space around the winners, within the bounds. At least one winner is needed.

    The dimensions `held` do not leave their bounds, though the rule widens others.
    """
    dimensions: dict[str, Dimension] = {}
    pressed: list[str] = []
    for name, bound in bounds.items():
        values = [winner[name] for winner in winners]
        dimensions[name], sides = _narrow_one(values, rule, bound, widen=rule.widen and name not in held)
        pressed += [f"{name} {side}" for side in sides]
    return Narrowed(Space.of(dimensions), tuple(pressed))


def _narrow_one(
    values: Sequence[Any], rule: Rule, bound: Dimension, *, widen: bool
) -> tuple[Dimension, Sequence[str]]:  # fmt: skip
    if isinstance(bound, Choice):
        return bound.of(values), ()
    if isinstance(bound, Integer):
        box = Integer(min(values), max(values), bound.step, bound.log).cells
        cells, pressed = _narrow_interval(box, rule, bound.cells, widen=widen)
        return bound.touched(cells), pressed
    return _narrow_interval(bound.around(values), rule, bound, widen=widen)


def _narrow_interval(box: Interval, rule: Rule, bound: Interval, *, widen: bool) -> tuple[Interval, list[str]]:
    """Narrow a range to the winners' box; both are of the same kind."""
    width = box.width * (1 + 2 * rule.margin)
    # The least width alone may reach over a bound that no winner is near.
    pressed = _pressed(box.of_width(width), bound)
    wanted = box.of_width(max(width, bound.least(rule.least)))
    return wanted if widen and pressed else _within(wanted, bound), pressed


def _pressed(wanted: Interval, bound: Interval) -> list[str]:
    sides = {"low": wanted.low < bound.low, "high": wanted.high > bound.high}
    return [side for side, beyond in sides.items() if beyond]


def _within(wanted: Interval, bound: Interval) -> Interval:
    """Move the range inside the bound where its width fits, and cut it where it does not."""
    if wanted.width >= bound.width:
        return bound
    if wanted.low < bound.low:
        return bound.low_end(wanted.width)
    if wanted.high > bound.high:
        return bound.high_end(wanted.width)
    return wanted


def describe(rule: Rule, bounds: Space) -> str:
    """Return the rule in words, as far as it concerns the dimensions there are."""
    decades = f"{rule.least:g} decades" if not math.isclose(rule.least, 1) else "one decade"
    widths = {"log": decades, "linear": f"{min(rule.least, 1):.0%} of a linear range"}
    axes = {bound.axis for bound in bounds.values() if not isinstance(bound, Choice)}
    told = [width for axis, width in widths.items() if axis in axes]
    least = f", at least {' and '.join(told)}" if told else ""
    beyond = ", may leave the bounds set" if rule.widen else ""
    return f"box of the {rule.top} best, {rule.margin:.0%} margin{least}{beyond}"
