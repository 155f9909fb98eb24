"""The map of trials: η and λ, accuracy as colour, the ranges of each stage as a box."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState

from search.charts.ink import Found, colour_of, counted, links, searched, thinned
from search.space import Range
from search.status import Winner
from search.study import Study, point_of, value_of

_ACCURACY = ("#5b5ea6", "#2f7f9f", "#22a884", "#7ad151", "#e0d81b")
"""From low to high: Viridis without its ends, which vanish on dark and on light paper."""
_WINNER, _ENDED_BADLY = "#c026d3", "#d64545"
_TICKS = 5


def map_of_trials(studies: Sequence[Study], winner: Winner | None) -> go.Figure:
    """Draw every trial in η and λ, coloured by its accuracy, and each stage's box within its parent's.

    Pruned trials have the accuracy after their last epoch. Diverged trials are crosses: where they begin is the edge of
    stability. Points carry their study, number and how they ended. Finalists that are trained again are left out.
    """
    figure, studies = go.Figure(), searched(studies)
    for place, study in enumerate(studies):
        figure.add_trace(_box(study, colour_of(place)))
        figure.add_annotation(_name(study, place))
    for trace in _points(_by_state(studies)):
        figure.add_trace(trace)
    if winner is not None:
        ring = {"size": 18, "symbol": "circle-open", "color": _WINNER, "line": {"width": 3}}
        at = {"x": [winner.trial.eta], "y": [winner.trial.lam]}
        figure.add_scatter(**at, mode="markers", name="winner", marker=ring, hoverinfo="skip")
    axis = {"type": "log", "exponentformat": "power", "nticks": 8}
    figure.update_xaxes(title="η, learning rate", range=_around([study.space.eta for study in studies]), **axis)
    figure.update_yaxes(title="λ, L2 weight", range=_around([study.space.lam for study in studies]), **axis)
    return figure


def _box(study: Study, colour: str) -> go.Scatter:
    eta, lam, name = study.space.eta, study.space.lam, f"ranges of {escape(study.attrs['stage'])}"
    return go.Scatter(
        x=[eta.low, eta.high, eta.high, eta.low, eta.low], y=[lam.low, lam.low, lam.high, lam.high, lam.low],
        mode="lines", line={"color": colour, "width": 2}, name=name, hoverinfo="name",
        showlegend=False,
    )  # fmt: skip


def _name(study: Study, place: int) -> dict[str, Any]:
    """Return a stage's name at a corner of its box: another one than the box around it has."""
    eta, lam = study.space.eta, study.space.lam
    left, top = place % 4 in {0, 1}, place % 2 == 0
    return {
        "text": f"<b>{escape(study.attrs['stage'])}</b>", "font": {"color": colour_of(place)}, "showarrow": False,
        "x": math.log10(eta.low if left else eta.high), "xanchor": "left" if left else "right",
        "y": math.log10(lam.high if top else lam.low), "yanchor": "bottom" if top else "top",
        "borderpad": 1, "yshift": 3 if top else -3,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Scale:
    """The colours of accuracies, from the lower quartile up: a few poor trials would press the good into one colour."""

    low: float
    high: float

    @classmethod
    def over(cls, trials: Iterable[FrozenTrial]) -> "_Scale":
        values = sorted(value for trial in trials if (value := _accuracy(trial)) is not None) or [0.0, 1.0]
        low, high = values[len(values) // 4], values[-1]
        return cls(low if low < high else high - 0.01, high)  # a scale needs two ends

    def of(self, found: Found) -> dict[str, Any]:
        """Return how the markers of trials are coloured."""
        colours = [_accuracy(trial) for _, trial in found]
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


def _accuracy(trial: FrozenTrial) -> float | None:
    """Return a trial's accuracy after its last epoch."""
    return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else trial.value


def _by_state(studies: Sequence[Study]) -> dict[TrialState, Found]:
    return {
        state: [(study, trial) for study in studies for trial in study.trials if trial.state is state]
        for state in TrialState
    }


def _points(found: Mapping[TrialState, Found]) -> Iterator[go.Scatter]:
    """Yield the trials as dots, those that matter most on top: the best of the completed, and what diverged."""
    completed = sorted(found[TrialState.COMPLETE], key=lambda pair: value_of(pair[1]))
    begun = [(study, trial) for study, trial in found[TrialState.RUNNING] if trial.intermediate_values]
    pruned, failed = found[TrialState.PRUNED], found[TrialState.FAIL]
    scale = _Scale.over(trial for _, trial in [*completed, *pruned, *begun])
    thin, bar = {"width": 0.5, "color": "rgba(128,128,128,0.7)"}, {"showscale": True, "colorbar": scale.bar()}
    yield _dots("pruned", pruned, scale, {"size": 8, "symbol": "triangle-down", "line": thin})
    yield _dots("in training", begun, scale, {"size": 9, "symbol": "circle-open", "line": {"width": 2}})
    yield _dots("completed", completed, scale, {"size": 9, "line": thin, **(bar if completed else {})})
    yield _dots(_how_failed(failed), failed, None, {"size": 8, "symbol": "x", "color": _ENDED_BADLY})


def _around(ranges: Sequence[Range]) -> list[float]:
    """Return the logarithms between which all ranges lie, with room for points and names at their edges."""
    low, high = (math.log10(f(b)) for f, b in ((min, [r.low for r in ranges]), (max, [r.high for r in ranges])))
    room = 0.06 * (high - low)
    return [low - room, high + room]


def _how_failed(failed: Found) -> str:
    diverged = all("diverged" in trial.user_attrs.get("reason", "") for _, trial in failed)
    return "diverged" if diverged else "diverged or failed"


def _dots(name: str, found: Found, scale: _Scale | None, marker: dict[str, Any]) -> go.Scatter:
    """Return trials as dots; `meta` names them, however many are drawn."""
    shown = thinned(found, lambda pair: _accuracy(pair[1]) or 0.0)
    points = [point_of(trial) for _, trial in shown]
    told = "%{customdata[0]} trial %{customdata[1]}<br>η %{x:.5g}, λ %{y:.3g}<br>%{customdata[2]}<extra></extra>"
    return go.Scatter(
        x=[point.eta for point in points], y=[point.lam for point in points], mode="markers", meta=name,
        name=counted(name, len(shown), len(found)), marker={**(scale.of(shown) if scale else {}), **marker},
        customdata=links(shown), hovertemplate=told, showlegend=bool(found),
    )  # fmt: skip
