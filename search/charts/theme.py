"""The colours of all figures, and their layout for light and dark pages."""

from typing import Literal

import plotly.graph_objects as go

Theme = Literal["light", "dark"]
STAGE_COLOURS = ("#3379c8", "#d1711f", "#2f9355", "#a055b8", "#c2483d", "#6b7885")
"""Colours of the stages, in order. A campaign with more stages starts over."""
CURVE_COLOURS = (*STAGE_COLOURS, "#1a9aa8", "#c2559a", "#8a7a1f", "#6a5acd")
"""Colours of learning curves. A figure often has nine of them."""
_PAGE_COLOURS = {"light": ("#1f2933", "#d9dee4", "#ffffffcc"), "dark": ("#e4e7eb", "#303a45", "#181f27cc")}
"""Colours of text, of grid lines, and of the background of labels among points."""


def stage_colour(index: int) -> str:
    """Return the colour of a campaign's stage by its index."""
    return STAGE_COLOURS[index % len(STAGE_COLOURS)]


def themed(figure: go.Figure, theme: Theme) -> go.Figure:
    """Set a figure's text and grid colours for a light or dark page, and return the figure.

    The background is transparent, so that the page shows through.
    """
    text, grid, label_background = _PAGE_COLOURS[theme]
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"color": text, "family": "system-ui, sans-serif", "size": 12},
        margin={"l": 56, "r": 16, "t": 12, "b": 48},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
        hoverlabel={"align": "left"}, hovermode="closest",
    )  # fmt: skip
    figure.update_annotations(bgcolor=label_background)
    axis = {"gridcolor": grid, "linecolor": grid, "zeroline": False, "title_standoff": 8, "automargin": True}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure
