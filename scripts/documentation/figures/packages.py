"""The layers of the packages, as import-linter checks them."""

import tomllib
from pathlib import Path

from documentation.figures.drawing import TEXT, arrow, box
from reproduction.svg import text, write

_PROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"
_STEP, _HEIGHT, _WIDTH = 38, 28, 360


def draw_figure(folder: Path) -> None:
    """Draw a line of boxes for each layer of `search/`, and `model` below them."""
    layers = [[name.strip() for name in layer.split("|")] for layer in _layers()]
    parts, top = [], 8
    for layer in layers:
        width = (_WIDTH - 8 * (len(layer) - 1)) / len(layer)
        for place, name in enumerate(layer):
            left = 44 + place * (width + 8)
            parts += [box(left, top, width, _HEIGHT), text(left + width / 2, top + 19, name, anchor="middle")]
        top += _STEP
    parts += [
        box(44, top + 10, _WIDTH, _HEIGHT),
        text(44 + _WIDTH / 2, top + 29, "model", anchor="middle"),
        arrow(f"M22 12 V{top - 18}", (22, top - 10), "down"),
        arrow(f"M426 12 V{top + 24} H412", (404, top + 24), "left"),
    ]
    write(folder / "packages.svg", 440, top + 48, "The packages, each above those it imports", [TEXT, *parts])


def _layers() -> list[str]:
    contracts = tomllib.loads(_PROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers: list[str] = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return layers
