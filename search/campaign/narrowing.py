"""Narrowing: deriving the space of a stage from the best trials of its parent. Pure functions.

Each range becomes the bounding box of the winners plus a margin on both sides. It has at least a given width, and does
not leave the bounds that the user set unless the campaign lets it widen. Log-uniform ranges are narrowed in log space,
numbers with steps as the range of their cells, and a choice to the options that winners have.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from coarsefine.search.campaign.dimension import Choice, Dimension, Grid, Interval
from coarsefine.search.campaign.sections import Narrow
from coarsefine.search.campaign.space import Point, Space


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A narrowed space, and the user's bounds that winners pressed against (`"eta high"`, `"lambda low"`)."""

    space: Space
    pressed: tuple[str, ...]


def narrow(winners: Sequence[Point], rule: Narrow, bounds: Space, never_widened: Collection[str] = ()) -> Narrowed:
    """Return the space around the winners; at least one is needed.

    The dimensions `never_widened` stay within their bounds even if the rule widens others.
    """
    dimensions: dict[str, Dimension] = {}
    pressed: list[str] = []
    for name, bound in bounds.items():
        values = [winner[name] for winner in winners]
        dimensions[name], sides = _narrow_one(values, rule, bound, widen=rule.widen and name not in never_widened)
        pressed += [f"{name} {side}" for side in sides]
    return Narrowed(Space.of(dimensions), tuple(pressed))


def _narrow_one(
    values: Sequence[Any], rule: Narrow, bound: Dimension, *, widen: bool
) -> tuple[Dimension, Sequence[str]]:  # fmt: skip
    if isinstance(bound, Choice):
        return Choice(tuple(option for option in bound.options if option in values)), ()
    if isinstance(bound, Grid):
        cells, pressed = _narrow_interval(bound.box(values), rule, bound.cells, widen=widen)
        return bound.touching(cells), pressed
    return _narrow_interval(type(bound)(min(values), max(values)), rule, bound, widen=widen)


def _narrow_interval(box: Interval, rule: Narrow, bound: Interval, *, widen: bool) -> tuple[Interval, list[str]]:
    """Narrow a range to the winners' box, which is of the same kind."""
    width = box.width * (1 + 2 * rule.margin)
    # Compared before the least width applies, which may cross a bound that no winner is near.
    wide = box.with_width(width)
    pressed = [side for side, beyond in (("low", wide.low < bound.low), ("high", wide.high > bound.high)) if beyond]
    wanted = box.with_width(max(width, bound.least_width(rule.least)))
    return wanted if widen and pressed else _within(wanted, bound), pressed


def _within(wanted: Interval, bound: Interval) -> Interval:
    """Move the range inside the bound; return the bound if the range is as wide or wider."""
    if wanted.width >= bound.width:
        return bound
    if wanted.low < bound.low:
        return bound.low_end(wanted.width)
    if wanted.high > bound.high:
        return bound.high_end(wanted.width)
    return wanted


def describe(rule: Narrow, bounds: Space) -> str:
    """Return the rule in words, as far as it concerns these dimensions."""
    decades = f"{rule.least:g} decades" if not math.isclose(rule.least, 1) else "one decade"
    widths = {"log": decades, "linear": f"{min(rule.least, 1):.0%} of a linear range"}
    axes = {bound.axis for bound in bounds.values() if not isinstance(bound, Choice)}
    applying = [width for axis, width in widths.items() if axis in axes]
    least = f", at least {' and '.join(applying)}" if applying else ""
    beyond = ", may leave the bounds set" if rule.widen else ""
    return f"box of the {rule.top} best, {rule.margin:.0%} margin{least}{beyond}"
