"""Narrowing: from the best trials of one stage to the space of the next. Pure functions.

For each range, in log space: the bounding box of the winners, a margin on both sides, at least a given width, and
never past the bounds the user set, unless the campaign lets it widen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search.space import Point, Range, Space


@dataclass(frozen=True, slots=True)
class Rule:
    """How far a stage closes in on the winners of its parent."""

    top: int
    """How many of the parent's best trials count as winners."""
    margin: float
    """Room left on either side of their box, as a share of its width."""
    least: float
    """Least width of a range, in decades."""
    widen: bool
    """Whether a range may leave the bounds the user set, where winners press against them."""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The next space, and the bounds of the user's that winners pressed against (`"eta high"`, `"lambda low"`)."""

    space: Space
    pressed: tuple[str, ...]


def narrow(winners: Sequence[Point], rule: Rule, bounds: Space) -> Narrowed:
    """Return the space around the winners, within the bounds. At least one winner is needed."""
    eta, pressed_eta = _narrow_one("eta", [p.eta for p in winners], rule, bounds.eta)
    lam, pressed_lam = _narrow_one("lambda", [p.lam for p in winners], rule, bounds.lam)
    return Narrowed(Space(eta, lam), (*pressed_eta, *pressed_lam))


def _narrow_one(name: str, values: Sequence[float], rule: Rule, bound: Range) -> tuple[Range, list[str]]:
    box = Range.around(values)
    # The least width alone may reach over a bound that no winner is near.
    pressed = _pressed(name, _widened(box, box.decades * (1 + 2 * rule.margin)), bound)
    wanted = _widened(box, max(box.decades * (1 + 2 * rule.margin), rule.least))
    return wanted if rule.widen and pressed else _within(wanted, bound), pressed


def _widened(box: Range, decades: float) -> Range:
    """Return a range of this width around the box's middle."""
    spare = 10 ** ((decades - box.decades) / 2)
    return Range(box.low / spare, box.high * spare)


def _pressed(name: str, wanted: Range, bound: Range) -> list[str]:
    sides = {"low": wanted.low < bound.low, "high": wanted.high > bound.high}
    return [f"{name} {side}" for side, beyond in sides.items() if beyond]


def _within(wanted: Range, bound: Range) -> Range:
    """Move the range inside the bound where its width fits, and cut it where it does not."""
    if wanted.decades >= bound.decades:
        return bound
    if wanted.low < bound.low:
        return Range(bound.low, min(bound.low * 10**wanted.decades, bound.high))
    if wanted.high > bound.high:
        return Range(max(bound.high / 10**wanted.decades, bound.low), bound.high)
    return wanted


def describe(rule: Rule) -> str:
    """Return the rule in words."""
    margin = f"{rule.margin:.0%} margin"
    beyond = ", may leave the bounds set" if rule.widen else ""
    width = f"at least {rule.least:g} decades" if not math.isclose(rule.least, 1) else "at least one decade"
    return f"box of the {rule.top} best, {margin}, {width}{beyond}"
