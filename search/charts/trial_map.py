"""The map of trials: two of the searched settings, accuracy as colour, the ranges of each stage as a box."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.campaign import labels
from coarsefine.search.charts.axes import Axis, accuracy_of, axes_of
from coarsefine.search.charts.theme import (
    Found,
    colour_of,
    counted,
    links,
    searched,
    thinned,
)
from coarsefine.search.results.status import Winner
from coarsefine.search.results.study import Study, point_of, value_of

_ACCURACY = ("#5b5ea6", "#2f7f9f", "#22a884", "#7ad151", "#e0d81b")
"""From low to high: Viridis without its ends, which vanish on dark and on light paper."""
_WINNER, _ENDED_BADLY = "#c026d3", "#d64545"
_TICKS = 5


def map_of_trials(
    studies: Sequence[Study], winner: Winner | None, names: tuple[str, str] | None = None
) -> go.Figure:  # fmt: skip
    """Draw every trial in two of `axes_of`, coloured by its accuracy, and each stage's box within its parent's.

    Without `names` they are the first two. Pruned trials have the accuracy after their last epoch. Diverged trials are
    crosses: where they begin is the edge of stability. Points carry their study, number, how they ended, and setting.
    Finalists that are trained again are left out.
    """
    figure, studies = go.Figure(), searched(studies)
    x, y = (Axis(name, studies) for name in names or axes_of(studies)[:2])
    for place, study in enumerate(studies):
        figure.add_trace(_box(study, colour_of(place), x, y))
        figure.add_annotation(_name(study, place, x, y))
    for trace in _points(_by_state(studies), x, y):
        figure.add_trace(trace)
    if winner is not None:
        ring = {"size": 18, "symbol": "circle-open", "color": _WINNER, "line": {"width": 3}}
        won = [t for s in studies if s.name == winner.study for t in s.trials if t.number == winner.trial.number]
        at = {"x": [x.of(trial) for trial in won], "y": [y.of(trial) for trial in won]}
        figure.add_scatter(**at, mode="markers", name="winner", marker=ring, hoverinfo="skip")
    figure.update_xaxes(**x.layout())
    figure.update_yaxes(**y.layout())
    return figure


def _box(study: Study, colour: str, x: Axis, y: Axis) -> go.Scatter:
    (left, right), (low, high) = x.span(study), y.span(study)
    return go.Scatter(
        x=[left, right, right, left, left], y=[low, low, high, high, low],
        mode="lines", line={"color": colour, "width": 2}, name=f"ranges of {escape(study.attrs['stage'])}",
        hoverinfo="name", showlegend=False,
    )  # fmt: skip


def _name(study: Study, place: int, x: Axis, y: Axis) -> dict[str, Any]:
    """Return a stage's name at a corner of its box: another one than the box around it has."""
    left, top = place % 4 in {0, 1}, place % 2 == 0
    return {
        "text": f"<b>{escape(study.attrs['stage'])}</b>", "font": {"color": colour_of(place)}, "showarrow": False,
        "x": x.place(x.span(study)[not left]), "xanchor": "left" if left else "right",
        "y": y.place(y.span(study)[top]), "yanchor": "bottom" if top else "top",
        "borderpad": 1, "yshift": 3 if top else -3,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Scale:
    """The colours of accuracies, from the lower quartile up: a few poor trials would press the good into one colour."""

    low: float
    high: float

    @classmethod
    def over(cls, trials: Iterable[FrozenTrial]) -> "_Scale":
        values = sorted(value for trial in trials if (value := accuracy_of(trial)) is not None) or [0.0, 1.0]
        low, high = values[len(values) // 4], values[-1]
        return cls(low if low < high else high - 0.01, high)  # a scale needs two ends

    def of(self, found: Found) -> dict[str, Any]:
        """Return how the markers of trials are coloured."""
        colours = [accuracy_of(trial) for _, trial in found]
        return {"color": colours, "colorscale": _ACCURACY, "cmin": self.low, "cmax": self.high, "showscale": False}

    def bar(self) -> dict[str, Any]:
        """Return the colour bar, whose lowest colour is that of all below it."""
        ticks = [self.low + (self.high - self.low) * step / (_TICKS - 1) for step in range(_TICKS)]
        words = [f"{100 * tick:.1f} %" for tick in ticks]
        return {
            "title": {"text": "accuracy", "side": "top"}, "tickvals": ticks, "ticktext": [f"≤ {words[0]}", *words[1:]],
            "orientation": "h", "len": 0.7, "thickness": 8,
            "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom", "ypad": 4,
        }  # fmt: skip


def _by_state(studies: Sequence[Study]) -> dict[TrialState, Found]:
    return {
        state: [(study, trial) for study in studies for trial in study.trials if trial.state is state]
        for state in TrialState
    }


def _points(found: Mapping[TrialState, Found], x: Axis, y: Axis) -> Iterator[go.Scatter]:
    """Yield the trials as dots, those that matter most on top: the best of the completed, and what diverged."""
    completed = sorted(found[TrialState.COMPLETE], key=lambda pair: value_of(pair[1]))
    begun = [(study, trial) for study, trial in found[TrialState.RUNNING] if trial.intermediate_values]
    pruned, failed = found[TrialState.PRUNED], found[TrialState.FAIL]
    scale = _Scale.over(trial for _, trial in [*completed, *pruned, *begun])
    thin, bar = {"width": 0.5, "color": "rgba(128,128,128,0.7)"}, {"showscale": True, "colorbar": scale.bar()}
    yield _dots("pruned", pruned, scale, x, y, {"size": 8, "symbol": "triangle-down", "line": thin})
    yield _dots("in training", begun, scale, x, y, {"size": 9, "symbol": "circle-open", "line": {"width": 2}})
    yield _dots("completed", completed, scale, x, y, {"size": 9, "line": thin, **(bar if completed else {})})
    yield _dots(_how_failed(failed), failed, None, x, y, {"size": 8, "symbol": "x", "color": _ENDED_BADLY})


def _how_failed(failed: Found) -> str:
    diverged = all("diverged" in trial.user_attrs.get("reason", "") for _, trial in failed)
    return "diverged" if diverged else "diverged or failed"


def _dots(name: str, found: Found, scale: _Scale | None, x: Axis, y: Axis, marker: dict[str, Any]) -> go.Scatter:
    """Return trials as dots; `meta` names them, however many are drawn."""
    shown = thinned(found, lambda pair: accuracy_of(pair[1]) or 0.0)
    told = "%{customdata[0]} trial %{customdata[1]}<br>%{customdata[3]}<br>%{customdata[2]}<extra></extra>"
    settings = [escape(labels.setting(point_of(trial))) for _, trial in shown]
    return go.Scatter(
        x=[x.of(trial) for _, trial in shown], y=[y.of(trial) for _, trial in shown], mode="markers", meta=name,
        name=counted(name, len(shown), len(found)), marker={**(scale.of(shown) if scale else {}), **marker},
        customdata=[[*link, setting] for link, setting in zip(links(shown), settings, strict=True)],
        hovertemplate=told, showlegend=bool(found),
    )  # fmt: skip
