"""Draw the README's picture: how many times faster than each alternative, as bars, for light and dark pages."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmarks.findings import Row

_WIDTH, _BAR, _GAP, _LABELS, _TOP = 860, 26, 14, 400, 56
_STYLE = """
  text { font: 15px system-ui, sans-serif; fill: #1f2328 }
  .small { font-size: 12px; fill: #59636e }
  .bar { fill: #0f766e }
  .ours { stroke: #59636e; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .bar { fill: #2dd4bf } .ours { stroke: #9198a1 }
  }
"""


def write_picture(path: Path, rows: Sequence[Row], captions: Sequence[str]) -> None:
    """Draw the rows that have a ratio, the largest first."""
    shown = sorted((row for row in rows if row.ratio), key=lambda row: -row.ratio.median if row.ratio else 0)
    bottom = _TOP + len(shown) * (_BAR + _GAP)
    height = bottom + 12 + 18 * len(captions)
    scale = (_WIDTH - _LABELS - 80) / max([1.0, *(row.ratio.median for row in shown if row.ratio)])
    one = _LABELS + scale
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="How many times faster Coarsefine trains">',
        f"<style>{_STYLE}</style>",
        '<text x="0" y="22">Times as fast as …, per core (same network, images and mini-batches)</text>',
        *(_bar(place, row, scale) for place, row in enumerate(shown)),
        f'<line class="ours" x1="{one:.0f}" x2="{one:.0f}" y1="{_TOP - 12}" y2="{bottom}"/>',
        f'<text class="small" x="{one:.0f}" y="{_TOP - 16}" text-anchor="middle">as fast</text>',
        *(
            f'<text class="small" x="0" y="{bottom + 18 + 18 * line}">{escape(caption)}</text>'
            for line, caption in enumerate(captions)
        ),
        "</svg>",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts) + "\n", "utf-8")


def _bar(place: int, row: Row, scale: float) -> str:
    assert row.ratio is not None, "only rows with a ratio are drawn"  # noqa: S101
    top = _TOP + place * (_BAR + _GAP)
    width, middle = row.ratio.median * scale, top + 18
    return (
        f'<text x="{_LABELS - 12}" y="{middle}" text-anchor="end">{escape(row.what)}</text>'
        f'<rect class="bar" x="{_LABELS}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="3"/>'
        f'<text x="{_LABELS + width + 8:.1f}" y="{middle}">{row.ratio.median:.2f} ×</text>'
    )
