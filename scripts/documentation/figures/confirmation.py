"""Six made finalists with their values on six new seeds, and which of them wins."""

from pathlib import Path

import numpy as np

from coarsefine.search.campaign.space import Point
from coarsefine.search.campaign.winner import Candidate, Finalist, Verdict, judge
from documentation.figures.drawing import TEXT, dot, line, ring
from reproduction.svg import Axis, Box, text, write

_BOX = Box(150, 34, 300, 204)
_MERITS = {0.03: 0.500, 0.02: 0.499, 0.05: 0.497, 0.012: 0.490, 0.08: 0.486, 0.11: 0.474}
"""The true value of each finalist, by its η; λ is 20 times smaller."""
_LUCK = (0.009, 0.013, 0.012, 0.016, 0.015, 0.024)
"""By how much the search's value of each is too high."""


def draw_figure(folder: Path) -> None:
    """Draw a row for each finalist, the best mean first."""
    verdict = _verdict()
    x = Axis(0.455, 0.525, _BOX.left, _BOX.left + _BOX.width)
    bottom = _BOX.top + _BOX.height
    parts = [
        *(line(x(at), _BOX.top - 8, x(at), bottom, "grid") for at in x.ticks()),
        *(text(x(at), bottom + 16, f"{at:.0%}", "small", "middle") for at in x.ticks()),
        ring(_BOX.left + 4, 14, 5, "b"), text(_BOX.left + 14, 18, "in the search", "small"),
        dot(_BOX.left + 110, 14, 3, "plain"), text(_BOX.left + 118, 18, "on a new seed", "small"),
        line(_BOX.left + 206, 14, _BOX.left + 226, 14, "line a"), text(_BOX.left + 232, 18, "mean, 95 %", "small"),
    ]  # fmt: skip
    for place, finalist in enumerate(verdict.finalists):
        parts += _row(finalist, x, _BOX.top + 16 + 33 * place, wins=finalist == verdict.winner)
    write(folder / "confirmation.svg", 470, 262, "Finalists trained again on new seeds", [TEXT, *parts])


def _verdict() -> Verdict:
    rng = np.random.default_rng(6)
    seeds = rng.normal(0, 0.004, 6)
    candidates, values = [], []
    for number, ((eta, merit), luck) in enumerate(zip(_MERITS.items(), _LUCK, strict=True)):
        candidates.append(Candidate("made/fine", number, Point.of({"eta": eta, "lambda": eta / 20}), merit + luck))
        values.append((merit + seeds + rng.normal(0, 0.003, 6)).tolist())
    return judge(candidates, values, seed=1)


def _row(finalist: Finalist, x: Axis, y: float, *, wins: bool) -> list[str]:
    assert finalist.confirmed is not None, "every made finalist has a value on each seed"  # noqa: S101
    mean, low, high = (finalist.confirmed.mean, finalist.confirmed.low, finalist.confirmed.high)
    name = f"η {finalist.point['eta']:g}, λ {finalist.point['lambda']:g}"
    return [
        text(8, y + 4, name, "a" if wins else ""),
        *([text(8, y + 18, "the winner", "small")] if wins else []),
        *(dot(x(value), y - 5, 2.5, "plain") for value in finalist.values if value is not None),
        line(x(low), y + 5, x(high), y + 5, "line a"),
        dot(x(mean), y + 5, 4, "a"),
        ring(x(finalist.value), y, 5, "b"),
    ]
