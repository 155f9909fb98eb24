"""The values of made trials over the epochs, of which halving prunes the lower half at each rung."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from coarsefine.search.campaign.pruning import Pruning
from documentation.figures.drawing import TEXT, dot, line
from reproduction.svg import Axis, Box, frame, text, write

_BOX = Box(40, 30, 410, 210)
_TRIALS, _EPOCHS = 16, 10
_HALVING = Pruning.of("halving", {}, _EPOCHS)


def draw_figure(folder: Path) -> None:
    """Draw the curve of each trial up to the epoch after which it ends."""
    curves = _curves()
    last = _last_epochs(curves)
    x = Axis(0, _EPOCHS, _BOX.left, _BOX.left + _BOX.width)
    y = Axis(0.2, 0.6, _BOX.top + _BOX.height, _BOX.top)
    bottom = _BOX.top + _BOX.height
    rungs = " and ".join(map(str, _HALVING.rungs))
    parts = frame(_BOX, y, "{:.1f}", f"value after each epoch: {_TRIALS} trials, rungs after epochs {rungs}")
    for rung in _HALVING.rungs:
        parts.append(line(x(rung), _BOX.top, x(rung), bottom, "reported"))
    for curve, end in sorted(zip(curves, last, strict=True), key=lambda pair: pair[1]):
        continues = end == _EPOCHS
        corners = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in enumerate(curve[: end + 1]))
        parts.append(f'<polyline class="{"line a" if continues else "ended"}" points="{corners}"/>')
        parts.append(dot(x(end), y(curve[end]), 3, "a" if continues else "plain"))
    parts += [text(x(epoch), bottom + 16, str(epoch), "small", "middle") for epoch in range(_EPOCHS + 1)]
    counts = ", ".join(f"{last.count(end)} end after epoch {end}" for end in (*_HALVING.rungs, _EPOCHS))
    parts.append(text(_BOX.left, bottom + 38, counts, "small"))
    write(folder / "halving.svg", 470, 290, "Successive halving", [TEXT, *parts])


def _curves() -> list[list[float]]:
    """Return the value of each trial before its first and after each epoch."""
    rng = np.random.default_rng(4)
    ends = rng.uniform(0.3, 0.55, _TRIALS)
    steps = np.arange(_EPOCHS + 1) / 2.2
    noise = rng.normal(0, 0.006, (_TRIALS, _EPOCHS + 1))
    rising = 0.25 + (ends[:, None] - 0.25) * (1 - np.exp(-steps)) + noise * (steps > 0)
    curves: list[list[float]] = rising.tolist()
    return curves


def _last_epochs(curves: Sequence[Sequence[float]]) -> list[int]:
    """Return the epoch after which each trial ends."""
    last = [_EPOCHS] * _TRIALS
    for rung in _HALVING.rungs:
        values = {number: curves[number][rung] if last[number] == _EPOCHS else None for number in range(_TRIALS)}
        for number in _HALVING.losers(range(_TRIALS), rung, values):
            last[number] = rung
    return last
