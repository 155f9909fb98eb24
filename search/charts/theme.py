"""What all figures have in common: colours, and ink for light and dark paper."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any, Literal, TypeVar

import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.results.study import Study, value_of

Theme = Literal["light", "dark"]
Found = list[tuple[Study, FrozenTrial]]
"""Trials with their studies."""
MOST_DRAWN = 2000
"""Points of a kind in one figure: a browser takes a second to draw 6,000."""
T = TypeVar("T")
_INK = {"light": ("#1f2933", "#d9dee4", "#ffffffcc"), "dark": ("#e4e7eb", "#303a45", "#181f27cc")}
"""Of text, of grid lines, and behind words that stand among points."""
_STAGES = ("#3379c8", "#d1711f", "#2f9355", "#a055b8", "#c2483d", "#6b7885")
"""Of the stages, in order, then again from the first."""
CURVES = (*_STAGES, "#1a9aa8", "#c2559a", "#8a7a1f", "#6a5acd")
"""Of learning curves, of which a figure often has nine."""


def themed(figure: go.Figure, theme: Theme) -> go.Figure:
    """Set a figure's ink for light or dark paper, which shows through it; return it."""
    ink, grid, behind = _INK[theme]
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"color": ink, "family": "system-ui, sans-serif", "size": 12},
        margin={"l": 56, "r": 16, "t": 12, "b": 48},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
        hoverlabel={"align": "left"}, hovermode="closest",
    )  # fmt: skip
    figure.update_annotations(bgcolor=behind)
    axis = {"gridcolor": grid, "linecolor": grid, "zeroline": False, "title_standoff": 8, "automargin": True}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def colour_of(place: int) -> str:
    """Return the colour of a stage by its place in the campaign."""
    return _STAGES[place % len(_STAGES)]


def searched(studies: Sequence[Study]) -> list[Study]:
    """Return the studies of the search, without the one in which its finalists were trained again."""
    return [study for study in studies if not study.is_confirm]


def links(found: Iterable[tuple[Study, FrozenTrial]]) -> list[list[Any]]:
    """Return for each trial what a page needs to lead to it: study, number, how it ended."""
    return [[study.name, trial.number, _ending(trial)] for study, trial in found]


def _ending(trial: FrozenTrial) -> str:
    """Return in words how a trial ended, or how far it is."""
    if trial.state is TrialState.COMPLETE:
        return f"{100 * value_of(trial):.2f} %"
    if trial.state is TrialState.FAIL:
        return escape(trial.user_attrs.get("reason", "failed"))
    after = max(trial.intermediate_values, default=0)
    reached = f"{100 * trial.intermediate_values[after]:.2f} % after epoch {after}, " if after else ""
    return f"{reached}{'pruned' if trial.state is TrialState.PRUNED else 'in training'}"


def thinned(trials: Sequence[T], worth: Callable[[T], float]) -> list[T]:
    """Return what to draw of trials: all, or of very many the best and an even sample of the others, in their order."""
    if len(trials) <= MOST_DRAWN:
        return list(trials)
    half = MOST_DRAWN // 2
    ranked = sorted(range(len(trials)), key=lambda place: -worth(trials[place]))
    others = sorted(ranked[half:])
    sample = {others[n * len(others) // half] for n in range(half)}
    kept = sample.union(ranked[:half])
    return [trial for place, trial in enumerate(trials) if place in kept]


def counted(name: str, shown: int, there: int) -> str:
    """Return the name of a set of points, of which maybe not all are drawn."""
    return name if shown == there else f"{name} ({shown:,} of {there:,} drawn)"
