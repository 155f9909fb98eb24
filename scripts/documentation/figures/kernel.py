"""The kernel's loop over panels of pixels and chunks of rows, and a tile of weights in registers."""

import re
from collections.abc import Sequence
from pathlib import Path

from coarsefine.model.kernel.instruction_sets import MAIN_SOURCE
from documentation.figures.drawing import TEXT, arrow, box, region
from reproduction.svg import text, write

_PANELS, _CHUNKS, _AT = 5, 4, (2, 1)
"""Panels and chunks that are drawn, and the panel and chunk that are being worked on."""
_LEFT, _TOP, _WIDTH, _HEIGHT, _GAP = 96, 132, 52, 46, 4
_BATCH = 34
"""Height of a panel of images, and width of a chunk of D or S: b images."""
_LANES = 16
_ROWS_OF_A_TRIAL = 50 / 64
"""Rows of a trial with 50 hidden units, in chunks of 64 rows: trials and chunks begin at different rows."""


def draw_figure(folder: Path) -> None:
    """Draw the loop on the left and the tile on the right."""
    alt = "A step of the kernel: a panel of pixels, a chunk of rows, and the tile that is held in registers"
    write(folder / "kernel.svg", 820, 372, alt, [TEXT, *_images(), *_weights(), *_sums(), *_order(), *_tile()])


def _images() -> list[str]:
    """Draw the panels of this mini-batch and of the next one."""
    parts = []
    for name, top, style in (("x", 34, "a"), ("x_next", 76, "b")):
        parts.append(text(_LEFT - 10, top + 21, name, anchor="end"))
        for panel in range(_PANELS):
            left = _LEFT + panel * (_WIDTH + _GAP)
            parts += _block(left, top, _WIDTH, _BATCH, style if panel == _AT[0] else None)
    title = f"panels of {_constant('PANEL')} pixels, b images each"
    return [text(_LEFT, 22, title, "small"), *parts]


def _weights() -> list[str]:
    """Draw W1 and W1_prev of all trials, whose rows follow each other."""
    parts = []
    for chunk in range(_CHUNKS):
        top = _row(chunk)
        parts.append(text(_LEFT - 10, top + 28, f"chunk {chunk}", "small", "end"))
        for panel in range(_PANELS):
            left = _LEFT + panel * (_WIDTH + _GAP)
            parts += _block(left, top, _WIDTH, _HEIGHT, "c" if (panel, chunk) == _AT else None)
    at_left, at_top = _LEFT + _AT[0] * (_WIDTH + _GAP), _row(_AT[1])
    parts += [
        text(at_left + _WIDTH / 2, at_top + 20, "W", anchor="middle"),
        text(at_left + _WIDTH / 2, at_top + 36, "W_prev", anchor="middle"),
    ]
    return [*parts, *_trials()]


def _trials() -> list[str]:
    """Mark at the left edge which rows belong to which trial."""
    height, parts, first, trial = _HEIGHT + _GAP, [], 0.0, 0
    while first < _CHUNKS:
        rows = min(_ROWS_OF_A_TRIAL, _CHUNKS - first)
        mark = f'<rect class="plain" x="{_LEFT - 7}" y="{_TOP + first * height:.1f}" width="4" '
        parts.append(f'{mark}height="{rows * height - 3:.1f}" opacity="{1 - trial % 2 / 2}"/>')
        first, trial = first + _ROWS_OF_A_TRIAL, trial + 1
    return [*parts, text(8, _row(_CHUNKS) + 14, "trials of 50 rows, one after the other (grey marks)", "small")]


def _sums() -> list[str]:
    """Draw D and S, a chunk for each chunk of rows."""
    parts = []
    for place, (name, style) in enumerate((("D", "a"), ("S", "b"))):
        left = _LEFT + _PANELS * (_WIDTH + _GAP) + 14 + place * (_BATCH + 14)
        parts.append(text(left + _BATCH / 2, _TOP - 8, name, anchor="middle"))
        for chunk in range(_CHUNKS):
            parts += _block(left, _row(chunk), _BATCH, _HEIGHT, style if chunk == _AT[1] else None)
    return parts


def _order() -> list[str]:
    """Write what is done with a block, and in which order the blocks follow."""
    right = _LEFT + _PANELS * (_WIDTH + _GAP)
    return [
        arrow(f"M{_LEFT} 122 H{right - 12}", (right - 4, 122), "right"),
        text(right + 14, 48, "1: the step, W_prev ← … − D·x", "a"),
        text(right + 14, 90, "2: S ← S + W_prev·x_next", "b"),
        text(8, 364, "for each panel, for each chunk: both, while the block is in the first-level cache", "small"),
    ]


def _tile() -> list[str]:
    """Draw a tile: vectors of rows by columns of pixels, and the number that each lane is multiplied with."""
    vectors, columns = int(_constant("FULL_CHUNK")), int(_constant("STEP_SIZE_4"))
    left, top, lane, wide = 606, 96, 2.6, 28
    parts = [
        text(left, 22, "A tile of the step, in registers"),
        text(left, 40, f"AVX-512: {vectors} vectors × {columns} pixels", "small"),
        text(left - 10, 73, "x[k]", "a", "end"),
    ]
    for vector in range(vectors):
        parts += _block(left - 32, top + vector * (_LANES * lane + 8), 18, _LANES * lane, "a")
    for column in range(columns):
        x = left + column * (wide + 4)
        parts += _block(x, 62, wide, 14, "a")
        for vector in range(vectors):
            y = top + vector * (_LANES * lane + 8)
            parts.append(box(x, y, wide, _LANES * lane))
            parts += [
                f'<line class="grid" x1="{x}" x2="{x + wide}" y1="{y + n * lane:.1f}" y2="{y + n * lane:.1f}"/>'
                for n in range(1, _LANES)
            ]
    bottom = top + vectors * (_LANES * lane + 8)
    return [
        *parts,
        text(left - 23, bottom + 8, "D[k]", "a", "middle"),
        text(left - 36, bottom + 32, "A lane is one weight of one hidden unit:", "small"),
        text(left - 36, bottom + 49, "w ← w − D[k]·x[k] for k = 0, 1, …, b − 1", "small"),
    ]


def _block(left: float, top: float, width: float, height: float, style: str | None) -> Sequence[str]:
    """Draw a block of numbers; with a style, one that is worked on."""
    parts = [box(left, top, width, height)]
    return [*parts, region(left, top, width, height, style)] if style else parts


def _row(chunk: int) -> int:
    return _TOP + chunk * (_HEIGHT + _GAP)


def _constant(name: str) -> str:
    """Return a number of the kernel's source: of several, that for AVX-512."""
    source = "".join(path.read_text("utf-8") for path in sorted(MAIN_SOURCE.parent.glob("*.[ch]")))
    found = re.search(rf"#define {name} (\d+)", source)
    assert found, name  # noqa: S101 - a figure of constants that are gone must not be drawn
    return found[1]
