"""Two maps of made trials: a coarse stage, and the stage that is narrowed from it."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from coarsefine.search.campaign.dimension import LogUniform
from coarsefine.search.campaign.narrowing import narrow
from coarsefine.search.campaign.sampling import draw
from coarsefine.search.campaign.sections import Narrow
from coarsefine.search.campaign.space import Point, Space
from documentation.figures.drawing import TEXT, dot, region
from reproduction.svg import Axis, Box, text, write

_BOX = Box(52, 30, 288, 220)
_BOUNDS = Space.of({"eta": LogUniform(1e-3, 1.0), "lambda": LogUniform(1e-6, 0.1)})
_RULE = Narrow(top=6)
_BEST = {"eta": 0.06, "lambda": 4e-4}
_WIDTHS = {"eta": 0.9, "lambda": 1.6}
"""Decades from the best value at which a trial's value has dropped to 1/e."""


def draw_figures(folder: Path) -> None:
    """Draw the map of each stage, with the ranges that follow from its best trials."""
    space = _BOUNDS
    for index, (stage, trials) in enumerate({"coarse": 40, "fine": 30}.items()):
        points = draw(space, "random", trials, np.random.SeedSequence(2, spawn_key=(index,)))
        winners = sorted(points, key=_value, reverse=True)[: _RULE.top]
        following = narrow(winners, _RULE, _BOUNDS).space
        parts = _map(points, winners, [space, following], f"{stage}: {trials} trials, the {_RULE.top} best marked")
        write(folder / f"narrowing-{stage}.svg", 360, 300, f"Trials of the stage {stage}", [TEXT, *parts])
        space = following


def _value(point: Point) -> float:
    """Return the value of a made trial: a smooth hill."""
    decades = {name: math.log10(float(point[name]) / best) for name, best in _BEST.items()}
    return math.exp(-sum((decades[name] / width) ** 2 for name, width in _WIDTHS.items()))


def _map(points: Sequence[Point], winners: Sequence[Point], spaces: Sequence[Space], title: str) -> list[str]:
    x = Axis(1e-3, 1.0, _BOX.left, _BOX.left + _BOX.width, log=True)
    y = Axis(1e-6, 0.1, _BOX.top + _BOX.height, _BOX.top, log=True)
    axes = {"eta": x, "lambda": y}
    return [
        text(_BOX.left, _BOX.top - 10, title),
        *(text(x(10.0**p), _BOX.top + _BOX.height + 16, f"{10.0**p:g}", "small", "middle") for p in range(-3, 1)),
        *(text(_BOX.left - 6, y(10.0**p) + 4, f"{10.0**p:.0e}", "small", "end") for p in range(-6, 0)),
        text(_BOX.left + _BOX.width / 2, _BOX.top + _BOX.height + 36, "learning rate η", "small", "middle"),
        text(8, _BOX.top - 10, "λ", "small"),
        *(_ranges(axes, space, style) for space, style in zip(spaces, ("a", "b dash"), strict=True)),
        *(dot(x(_eta(p)), y(_lam(p)), 5 if p in winners else 3, "b" if p in winners else "plain") for p in points),
    ]


def _ranges(axes: Mapping[str, Axis], space: Space, style: str) -> str:
    (left, right), (bottom, top) = (
        (axis(dimension.low), axis(dimension.high))
        for name, axis in axes.items()
        if isinstance(dimension := space[name], LogUniform)
    )
    return region(left, top, right - left, bottom - top, style)


def _eta(point: Point) -> float:
    return float(point["eta"])


def _lam(point: Point) -> float:
    return float(point["lambda"])
