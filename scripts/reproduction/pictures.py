"""Draw the pictures: Figure 1, Figures 2 to 8, the searches, and the steps beyond the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reproduction.evidence import AS_OURS, the_report
from reproduction.findings import Findings, Outcomes
from reproduction.plan import LABELS
from reproduction.spread import Spread
from reproduction.svg import COLOURS, Axis, Box, Line, frame, legend, limits, panel, text, write

MOMENTUM, SETTINGS, SEARCHES, STEPS = "figure-1.svg", "figures-2-8.svg", "searches.svg", "steps.svg"
ALL_STEPS = "preset.svg"
_WIDTH, _LEFT = 860, 52
_SMALL = Box(0, 0, 236, 130)


def draw_all(folder: Path, measured: Outcomes, found: Findings) -> None:
    """Write the four pictures of the report's page."""
    _momentum(folder / MOMENTUM, measured["momentum"])
    _settings(folder / SETTINGS, measured[f"settings-{AS_OURS}"], found)
    of_report = [search.reported["accuracy"] for search in found.searches]
    _columns(
        folder / SEARCHES, "Validation accuracy of the best of each search, one dot a campaign",
        [search.name for search in found.searches], [search.best for search in found.searches], of_report,
    )  # fmt: skip
    draw_steps(folder / STEPS, {step.key: step.test for step in found.steps})


def draw_steps(path: Path, tests: Mapping[str, Spread]) -> None:
    """Write the test accuracies after each step."""
    names = [LABELS[key].short for key in tests]
    title = "Test accuracy, one dot a campaign: the mean of its final trainings"
    _columns(path, title, names, list(tests.values()), [the_report().final["test_accuracy"]] * len(names))


def _momentum(path: Path, studies: Sequence[Any]) -> None:
    rhos = [curve["rho"] for curve in studies[0]["curves"]]
    lines = [
        Line(f"ρ = {rho:g}", colour, [study["curves"][place]["train_losses"] for study in studies])
        for place, (rho, colour) in enumerate(zip(rhos, COLOURS, strict=True))
    ]
    shown = [
        line for line in lines if all(None not in of_seed for of_seed in line.seeds)
    ]  # a diverged training has no curve
    box = Box(_LEFT, 40, _WIDTH - _LEFT - 16, 300)
    names = [(line.name, line.colour) for line in shown]
    parts = [
        *panel(box, shown, limits(shown, log=True), "training loss (log) over the epochs", log=True),
        *legend(_LEFT + 330, 32, names),
    ]
    write(path, _WIDTH, 372, "Training loss over the epochs with four momentum coefficients", parts)


def _settings(path: Path, trainings: Sequence[Any], found: Findings) -> None:
    curves = [_losses(trainings, place) for place in range(len(found.settings))]
    values = limits([line for lines in curves for line in lines])
    parts = legend(_LEFT + 2 * (_SMALL.width + 46), 2 * 190 + 90, [("training loss", "a"), ("validation loss", "b")])
    for place, (setting, lines) in enumerate(zip(found.settings, curves, strict=True)):
        row, column = divmod(place, 3)
        box = Box(_LEFT + column * (_SMALL.width + 46), 44 + row * 190, _SMALL.width, _SMALL.height)
        named = setting.named
        parts += panel(box, lines, values, f"{named.where}: η {named.eta:g}, λ {named.lam:g}")
    write(path, _WIDTH, 44 + 3 * 190, "Training and validation loss of the settings that the report names", parts)


def _losses(trainings: Sequence[Any], place: int) -> list[Line]:
    kinds = (("training", "a", "train_losses"), ("validation", "b", "validation_losses"))
    return [Line(name, colour, [t["curves"][place][key] for t in trainings]) for name, colour, key in kinds]


def _columns(path: Path, title: str, names: Sequence[str], ours: Sequence[Spread], of_report: Sequence[float]) -> None:
    """Draw a column of dots for each name, joined by campaign, their mean, and the report's value."""
    values = [100 * value for spread in ours for value in spread.values] + [100 * value for value in of_report]
    room = 0.08 * (max(values) - min(values)) + 0.05
    box = Box(_LEFT, 40, _WIDTH - _LEFT - 16, 260)
    y = Axis(min(values) - room, max(values) + room, box.top + box.height, box.top)
    wide = box.width / len(names)
    centres = [box.left + wide * (place + 0.5) for place in range(len(names))]
    parts = frame(box, y, "{:.4g} %", title)
    for seed in range(len(ours[0].values)):
        joined = " ".join(f"{x:.1f},{y(100 * s.values[seed]):.1f}" for x, s in zip(centres, ours, strict=True))
        parts.append(f'<polyline class="thin" points="{joined}"/>')
    for x, name, spread, reported in zip(centres, names, ours, of_report, strict=True):
        parts += _column(x, wide, y, spread, reported)
        parts += [text(x, box.top + box.height + 18 + 15 * line, w, "small", "middle") for line, w in _lines(name)]
    parts += [text(_LEFT + 535, 32, "● ours, — their mean", "a"), text(_LEFT + 695, 32, "- - the report", "reported")]
    write(path, _WIDTH, 360, title, parts)


def _column(x: float, wide: float, y: Axis, spread: Spread, reported: float) -> list[str]:
    mean, level = y(100 * spread.mean), y(100 * reported)
    left, right = x - wide / 2 + 4, x + wide / 2 - 4
    return [
        *(f'<circle class="dot a" cx="{x:.1f}" cy="{y(100 * value):.1f}" r="4"/>' for value in spread.values),
        f'<line class="line a" x1="{x - 26:.1f}" x2="{x + 26:.1f}" y1="{mean:.1f}" y2="{mean:.1f}"/>',
        f'<line class="reported" x1="{left:.1f}" x2="{right:.1f}" y1="{level:.1f}" y2="{level:.1f}"/>',
    ]


def _lines(name: str) -> list[tuple[int, str]]:
    return list(enumerate(name.split("\n")))
