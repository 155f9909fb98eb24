"""Panels of lines and dots as small SVG files, in colours for light and dark pages."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

COLOURS = ("a", "b", "c", "d")
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .small { font-size: 11px; fill: #59636e }
  .frame { fill: none; stroke: #d1d9e0 } .grid { stroke: #d1d9e0; stroke-width: 0.6 }
  .line { fill: none; stroke-width: 1.8 } .thin { fill: none; stroke: #8c959f; stroke-width: 0.8; opacity: 0.6 }
  .reported { stroke: #b42318; stroke-dasharray: 5 3; fill: none } .mark { fill: #b42318 }
  .a { stroke: #2563b0 } .b { stroke: #c2610c } .c { stroke: #1f7a45 } .d { stroke: #8b3fa8 }
  .dash { stroke-dasharray: 5 3 }
  .band { stroke: none; opacity: 0.2 }
  .band.a, .dot.a, text.a { fill: #2563b0 } .band.b, .dot.b, text.b { fill: #c2610c }
  .band.c, .dot.c, text.c { fill: #1f7a45 } .band.d, .dot.d, text.d { fill: #8b3fa8 }
  text.a, text.b, text.c, text.d, .dot { stroke: none }
  text.reported { fill: #b42318; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 }
    .frame, .grid { stroke: #3d444d } .thin { stroke: #9198a1 }
    .reported { stroke: #ff8a80 } .mark, text.reported { fill: #ff8a80 }
    .a { stroke: #6cb0ff } .b { stroke: #f0a35e } .c { stroke: #5cc987 } .d { stroke: #cf94e8 }
    .band.a, .dot.a, text.a { fill: #6cb0ff } .band.b, .dot.b, text.b { fill: #f0a35e }
    .band.c, .dot.c, text.c { fill: #5cc987 } .band.d, .dot.d, text.d { fill: #cf94e8 }
  }
"""


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from values to positions on the page."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the position of a value."""
        at, low, high = (math.log10(v) if self.log else v for v in (value, self.low, self.high))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round values within the axis."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [digit * 10.0**power for power in powers for digit in (1, 1.5, 2, 3, 5, 7)]
        else:
            step = _round_step((self.high - self.low) / 4)
            first = math.ceil(self.low / step)
            found = [step * place for place in range(first, math.floor(self.high / step + 1e-9) + 1)]
        return [value for value in found if self.low <= value <= self.high * (1 + 1e-12)]


@dataclass(frozen=True, slots=True)
class Line:
    """Values over the epochs, for each seed."""

    name: str
    colour: str
    seeds: Sequence[Sequence[float]]

    def at_each(self, of: Callable[[Sequence[float]], float]) -> list[float]:
        """Return a statistic over all seeds for each epoch."""
        return [of(values) for values in zip(*self.seeds, strict=True)]


@dataclass(frozen=True, slots=True)
class Box:
    """The position of a panel."""

    left: float
    top: float
    width: float
    height: float


def panel(box: Box, lines: Sequence[Line], values: tuple[float, float], title: str, *, log: bool = False) -> list[str]:
    """Draw lines over the epochs: the mean over seeds, in a band from the lowest to the highest value."""
    epochs = len(lines[0].seeds[0])
    x = Axis(1, max(2, epochs), box.left, box.left + box.width)
    y = Axis(*values, box.top + box.height, box.top, log)
    parts = [*frame(box, y, "{:g}" if log else f"{{:.{_digits(values)}f}}", title), *_epochs(x, box.top + box.height)]
    for line in lines:
        low, high = line.at_each(min), line.at_each(max)
        mean = line.at_each(lambda of_seeds: sum(of_seeds) / len(of_seeds))
        there = _points(x, y, high)
        back = reversed(_points(x, y, low))
        parts += [
            f'<polygon class="band {line.colour}" points="{" ".join([*there, *back])}"/>',
            f'<polyline class="line {line.colour}" points="{" ".join(_points(x, y, mean))}"/>',
        ]
    return parts


def frame(box: Box, y: Axis, written: str, title: str) -> list[str]:
    """Draw a panel's frame, its title, and the values of its vertical axis."""
    right = box.left + box.width
    parts = [
        f'<rect class="frame" x="{box.left}" y="{box.top}" width="{box.width}" height="{box.height}"/>',
        text(box.left, box.top - 8, title),
    ]
    for value in y.ticks():
        parts += [
            f'<line class="grid" x1="{box.left}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>',
            text(box.left - 5, y(value) + 4, written.format(value), "small", "end"),
        ]
    return parts


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Draw text."""
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def legend(left: float, top: float, names: Sequence[tuple[str, str]]) -> list[str]:
    """Draw names in their colours, in a row."""
    parts, at = [], left
    for name, colour in names:
        parts.append(text(at, top, f"● {name}", colour))
        at += 28 + 7.5 * len(name)
    return parts


def limits(lines: Sequence[Line], *, log: bool = False) -> tuple[float, float]:
    """Return an axis that holds all values, with a little room."""
    values = [value for line in lines for of_seed in line.seeds for value in of_seed]
    low, high = min(values), max(values)
    room = 0.04 * (high - low)
    return (low * 0.97, high * 1.03) if log else (low - room, high + room)


def write(path: Path, width: float, height: float, alt: str, parts: Sequence[str]) -> None:
    """Write a picture."""
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f'{begin} aria-label="{escape(alt)}">', f"<style>{_STYLE}</style>", *parts, "</svg>"]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _points(x: Axis, y: Axis, values: Sequence[float]) -> list[str]:
    return [f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in enumerate(values, 1)]


def _epochs(x: Axis, bottom: float) -> list[str]:
    whole = sorted({1, *(int(value) for value in x.ticks() if value == int(value) and value >= 1)})
    return [text(x(value), bottom + 14, str(value), "small", "middle") for value in whole]


def _digits(values: tuple[float, float]) -> int:
    """Return how many decimals distinguish the ticks of an axis."""
    return 1 if values[1] - values[0] > 0.4 else 2  # noqa: PLR2004


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
