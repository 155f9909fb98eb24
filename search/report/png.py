"""Figures as PNG files, drawn by kaleido in a Chromium that is installed."""

from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from coarsefine.search.errors import UsageError
from coarsefine.search.report.figures import Figure

_WIDTH = 900
_SCALE = 2
"""Pixels for each of the layout: enough for print."""


def draw(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Draw each figure into `ID.png` in a folder; return the files.

    Raises `UsageError` where kaleido or a browser for it is missing.
    """
    try:
        import kaleido  # noqa: PLC0415 - an extra: needed for images alone
        from choreographer.errors import BrowserFailedError, ChromeNotFoundError  # noqa: PLC0415 - kaleido brings it
    except ImportError as error:
        raise UsageError("PNG files need kaleido: install coarsefine[png], or leave --png out.") from error
    paths = [folder / f"{figure.id}.png" for figure in figures]
    wanted = [{"fig": _on_white(f), "path": p, "opts": _size(f)} for f, p in zip(figures, paths, strict=True)]
    try:
        kaleido.write_fig_from_object_sync(wanted, cancel_on_error=True, kopts={"mathjax": False})
    except (ChromeNotFoundError, BrowserFailedError) as error:
        raise UsageError(
            "PNG files need Chromium or Chrome: install one, or name its program in BROWSER_PATH, or leave --png out."
        ) from error
    return paths


def _on_white(figure: Figure) -> go.Figure:
    return figure.inked("light").update_layout(paper_bgcolor="white", plot_bgcolor="white")


def _size(figure: Figure) -> dict[str, float]:
    return {"width": _WIDTH, "height": figure.plot.layout.height, "scale": _SCALE}
