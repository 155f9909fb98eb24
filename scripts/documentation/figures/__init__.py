"""The figures of the pages, drawn by the product's own code: the same bytes each time."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from documentation.figures import confirmation, halving, kernel, narrowing, packages, slot

_DRAWINGS: tuple[Callable[[Path], None], ...] = (
    narrowing.draw_figures,
    halving.draw_figure,
    confirmation.draw_figure,
    slot.draw_figure,
    packages.draw_figure,
    kernel.draw_figure,
)
"""Functions that write figures to a folder."""


def draw_all(folder: Path) -> None:
    """Draw every figure."""
    for draw in _DRAWINGS:
        draw(folder)


def outdated(folder: Path) -> Iterator[str]:
    """Yield each figure of a folder that is not what would be drawn now."""
    with tempfile.TemporaryDirectory() as new:
        draw_all(Path(new))
        for drawn in sorted(Path(new).iterdir()):
            kept = folder / drawn.name
            if not kept.exists() or kept.read_bytes() != drawn.read_bytes():
                yield f"{kept.name} is outdated: run `scripts/docs --update`"
