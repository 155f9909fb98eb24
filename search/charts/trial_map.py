"""The map of trials: two hyperparameters as axes, values as colours, and each stage's ranges as a box."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.campaign import labels
from coarsefine.search.campaign.metric import ACCURACY, Metric
from coarsefine.search.charts.axes import Axis, axes_of
from coarsefine.search.charts.drawn_trials import (
    StudyTrials,
    last_value,
    legend_name,
    search_studies,
    thinned,
    trial_links,
)
from coarsefine.search.charts.theme import stage_colour
from coarsefine.search.results.status import Winner
from coarsefine.search.results.study import Study, point_of, value_of
from coarsefine.search.storage.slots import has_diverged

_COLOURS = ("#5b5ea6", "#2f7f9f", "#22a884", "#7ad151", "#e0d81b")
"""Colours from the worst value to the best: Viridis without its ends, hardly seen on a dark or a light page."""
_WINNER, _FAILED = "#c026d3", "#d64545"
_TICKS = 5


def map_of_trials(
    studies: Sequence[Study],
    winner: Winner | None,
    names: tuple[str, str] | None = None,
    metric: Metric = ACCURACY,
    *,
    is_decided: bool = True,
) -> go.Figure:
    """Draw every trial of the search stages, coloured by its value, and the box of each stage's ranges.

    `names` are two axes out of `axes_of`, by default its first two. A pruned trial has the value after its last
    epoch. Diverged trials are crosses: they show where training becomes unstable. Each point carries its study, number,
    outcome and hyperparameters. Finalists that are trained again are left out. Unless the search `is_decided`, the
    winner is only the best trial so far.
    """
    figure, studies = go.Figure(), search_studies(studies)
    x, y = (Axis(name, studies, metric) for name in names or axes_of(studies)[:2])
    for index, study in enumerate(studies):
        figure.add_trace(_box(study, stage_colour(index), x, y))
        figure.add_annotation(_label(study, index, x, y))
    figure.add_traces(list(_points(studies, x, y, metric)))
    if winner is not None:
        figure.add_trace(_ring("winner" if is_decided else "best so far", studies, winner, x, y))
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


def _label(study: Study, index: int, x: Axis, y: Axis) -> dict[str, Any]:
    """Return the annotation with a stage's name, at another corner of its box than its parent's name."""
    left, top = index % 4 in {0, 1}, index % 2 == 0
    return {
        "text": f"<b>{escape(study.attrs['stage'])}</b>", "font": {"color": stage_colour(index)}, "showarrow": False,
        "x": x.position(x.span(study)[not left]), "xanchor": "left" if left else "right",
        "y": y.position(y.span(study)[top]), "yanchor": "bottom" if top else "top",
        "borderpad": 1, "yshift": 3 if top else -3,
    }  # fmt: skip


def _ring(name: str, studies: Sequence[Study], winner: Winner, x: Axis, y: Axis) -> go.Scatter:
    trials = [t for s in studies if s.name == winner.study for t in s.trials if t.number == winner.number]
    ring = {"size": 18, "symbol": "circle-open", "color": _WINNER, "line": {"width": 3}}
    return go.Scatter(
        x=[x.of(trial) for trial in trials], y=[y.of(trial) for trial in trials],
        mode="markers", name=name, marker=ring, hoverinfo="skip",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Scale:
    """The colour scale of values.

    It starts at the worst quartile. If it started at the worst value, a few poor trials would leave all good ones
    nearly the same colour.
    """

    worst: float
    best: float
    metric: Metric

    @classmethod
    def over(cls, trials: Iterable[FrozenTrial], metric: Metric) -> "_Scale":
        direction = metric.direction
        found = [value for trial in trials if (value := last_value(trial)) is not None] or [0.0, 1.0]
        values = sorted(found, key=direction.key, reverse=True)
        worst, best = values[len(values) // 4], values[-1]
        if worst == best:  # two ends must differ
            worst = best - direction.sign * (0.01 * abs(best) or 0.01)
        return cls(worst, best, metric)

    def of(self, trials: StudyTrials) -> dict[str, Any]:
        """Return the marker colours of trials; one that was pruned before its first epoch has that of the worst."""
        low, high = sorted((self.worst, self.best))
        values = (last_value(trial) for _, trial in trials)
        colours = [self.worst if value is None else value for value in values]
        scale = _COLOURS if self.worst == low else _COLOURS[::-1]
        return {"color": colours, "colorscale": scale, "cmin": low, "cmax": high, "showscale": False}

    def bar(self) -> dict[str, Any]:
        """Return the colour bar, from low to high. Its colour of the worst value also stands for all worse ones."""
        low, high = sorted((self.worst, self.best))
        ticks = [low + (high - low) * step / (_TICKS - 1) for step in range(_TICKS)]
        texts = list(map(self.metric.text, ticks))
        place, sign, room = (0, "≤", {}) if self.worst == low else (-1, "≥", {"xpad": 30})
        texts[place] = f"{sign} {texts[place]}"
        # At the container's top: one that stands on the plot makes Plotly move the titles of the axes into their ticks.
        return {
            "title": {"text": escape(self.metric.title), "side": "top"}, "tickvals": ticks, "yref": "container",
            "ticktext": texts, "orientation": "h", "len": 0.7, "thickness": 8,
            "x": 1, "xanchor": "right", "y": 1, "yanchor": "top", "ypad": 4, **room,
        }  # fmt: skip


def _points(studies: Sequence[Study], x: Axis, y: Axis, metric: Metric) -> Iterator[go.Scatter]:
    """Yield the trials as dots.

    Later traces cover earlier ones: completed trials, the best last, cover pruned and running ones, and failed trials
    cover all.
    """
    pruned, running, completed, failed = (
        [(study, trial) for study in studies for trial in study.trials if trial.state is state]
        for state in (TrialState.PRUNED, TrialState.RUNNING, TrialState.COMPLETE, TrialState.FAIL)
    )
    completed.sort(key=lambda pair: metric.direction.key(value_of(pair[1])), reverse=True)
    running = [(study, trial) for study, trial in running if trial.intermediate_values]
    scale = _Scale.over((trial for _, trial in [*completed, *pruned, *running]), metric)
    thin, bar = {"width": 0.5, "color": "rgba(128,128,128,0.7)"}, {"showscale": True, "colorbar": scale.bar()}
    yield _dots("pruned", pruned, scale, x, y, {"size": 8, "symbol": "triangle-down", "line": thin})
    yield _dots("in training", running, scale, x, y, {"size": 9, "symbol": "circle-open", "line": {"width": 2}})
    yield _dots("completed", completed, scale, x, y, {"size": 9, "line": thin, **(bar if completed else {})})
    yield _dots(_how_they_failed(failed), failed, scale, x, y, {"size": 8, "symbol": "x", "color": _FAILED})


def _how_they_failed(failed: StudyTrials) -> str:
    kinds = {has_diverged(trial.state, trial.user_attrs.get("reason")) for _, trial in failed}
    return "diverged or failed" if len(kinds) > 1 else "failed" if False in kinds else "diverged"


def _dots(name: str, trials: StudyTrials, scale: _Scale, x: Axis, y: Axis, marker: dict[str, Any]) -> go.Scatter:
    """Return trials as dots. `meta` is the trace's name without the number of points drawn."""
    drawn = thinned(trials, lambda pair: scale.metric.direction.key(last_value(pair[1]) or 0.0))
    links = trial_links(drawn, scale.metric)
    hover = "%{customdata[0]} trial %{customdata[1]}<br>%{customdata[3]}<br>%{customdata[2]}<extra></extra>"
    settings = [escape(labels.point_text(point_of(trial), scale.metric)) for _, trial in drawn]
    return go.Scatter(
        x=[x.of(trial) for _, trial in drawn], y=[y.of(trial) for _, trial in drawn], mode="markers", meta=name,
        name=legend_name(name, len(drawn), len(trials)), marker={**scale.of(drawn), **marker},
        customdata=[[*link, setting] for link, setting in zip(links, settings, strict=True)],
        hovertemplate=hover, showlegend=bool(trials),
    )  # fmt: skip
