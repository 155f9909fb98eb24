"""The figures of a campaign, as Plotly's: for the campaign page, the report, and image files.

Each is made from the studies alone, and reads on light and on dark paper: `themed` sets the ink.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Literal

import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState

from search.space import Range
from search.status import Final, Winner
from search.study import Study, point_of, value_of

Theme = Literal["light", "dark"]
_Found = list[tuple[Study, FrozenTrial]]
"""Trials with their studies."""
_INK = {"light": ("#1f2933", "#d9dee4", "#ffffffcc"), "dark": ("#e4e7eb", "#303a45", "#181f27cc")}
"""Of text, of grid lines, and behind words that stand among points."""
_STAGES = ("#3379c8", "#d1711f", "#2f9355", "#a055b8", "#c2483d", "#6b7885")
"""Of the stages, in order, then again from the first."""
_CURVES = (*_STAGES, "#1a9aa8", "#c2559a", "#8a7a1f", "#6a5acd")
"""Of learning curves, of which a figure often has nine."""
_ACCURACY = ("#5b5ea6", "#2f7f9f", "#22a884", "#7ad151", "#e0d81b")
"""From low to high: Viridis without its ends, which vanish on dark and on light paper."""
_WINNER, _ENDED_BADLY = "#c026d3", "#d64545"
_TICKS = 5


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


def map_of_trials(studies: Sequence[Study], winner: Winner | None) -> go.Figure:
    """Draw every trial in η and λ, coloured by its accuracy, and each stage's box within its parent's.

    Pruned trials have the accuracy after their last epoch. Diverged trials are crosses: where they begin is the edge of
    stability. Points carry their study, number and how they ended. Finalists that are trained again are left out.
    """
    figure, studies = go.Figure(), _searched(studies)
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


def best_so_far(studies: Sequence[Study]) -> go.Figure:
    """Draw the accuracy of each trial in the order they ended, and the best up to each, across the search's stages."""
    figure, studies = go.Figure(), _searched(studies)
    came, best, line = 0, float("-inf"), ([], [])  # type: tuple[int, float, tuple[list[int], list[float]]]
    for place, study in enumerate(studies):
        ended = sorted(
            (trial for trial in study.trials if trial.state is TrialState.COMPLETE),
            key=lambda trial: (trial.datetime_complete is None, trial.datetime_complete, trial.number),
        )
        places = list(range(came + 1, came + 1 + len(ended)))
        for at, trial in zip(places, ended, strict=True):
            best = max(best, value_of(trial))
            line[0].append(at)
            line[1].append(best)
        figure.add_scatter(
            x=places, y=[value_of(trial) for trial in ended], mode="markers", name=study.attrs["stage"],
            marker={"size": 6, "color": colour_of(place)}, customdata=_links((study, trial) for trial in ended),
            hovertemplate="%{customdata[0]} trial %{customdata[1]}: %{y:.2%}<extra></extra>", showlegend=bool(ended),
        )  # fmt: skip
        came += len(ended)
    figure.add_scatter(
        x=line[0], y=line[1], mode="lines", name="best so far", line={"shape": "hv", "color": "#888"},
        hovertemplate="best of %{x}: %{y:.2%}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title="completed trials")
    figure.update_yaxes(title="validation accuracy", tickformat=".2~%")
    return figure


def loss_curves(trials: Iterable[tuple[str, FrozenTrial]]) -> go.Figure:
    """Draw the loss over the epochs of some trials, each under its name: validation solid, training dotted."""
    figure = go.Figure()
    for place, (name, trial) in enumerate(trials):
        for kind, dash in (("validation", "solid"), ("train", "dot")):
            losses = trial.user_attrs.get(f"{kind}_loss", [])
            line = {"dash": dash, "color": _CURVES[place % len(_CURVES)]}
            _add_curve(figure, name, losses, line)
            told = f"{name}, epoch %{{x}}<br>{kind} loss %{{y:.4f}}<extra></extra>"
            figure.data[-1].update(legendgroup=name, showlegend=kind == "validation", hovertemplate=told)
    return _over_epochs(figure, "loss (dotted: training)")


def curves(named: Mapping[str, Sequence[float | None]], title: str) -> go.Figure:
    """Draw values over the epochs, a line for each name."""
    figure = go.Figure()
    for place, (name, values) in enumerate(named.items()):
        _add_curve(figure, name, values, {"color": colour_of(place)})
    return _over_epochs(figure, title)


def timeline(studies: Sequence[Study], final: Final | None) -> go.Figure:
    """Draw when each trial was trained, a line for each in the order they began, and the final training."""
    spans = [_spans(study) for study in studies]
    zero = min((begun for stage in spans for begun, _ in stage), default=0.0)
    figure, height = go.Figure(), 0
    for place, (study, stage) in enumerate(zip(studies, spans, strict=True)):
        _add_spans(figure, study.attrs["stage"], stage, zero, height, colour_of(place))
        height += len(stage)
    if final is not None:
        ended = datetime.fromisoformat(final.ended).timestamp()
        whole = [(ended - final.seconds, ended)]
        _add_spans(figure, "final training", whole, zero, height, colour_of(len(studies)))
    figure.update_xaxes(title="minutes since the first trial began")
    figure.update_yaxes(title="trials, in the order they began")
    return figure


def shares(named: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """Draw shares of one as bars: for each part its share in each of the named wholes, the first at the top."""
    figure = go.Figure()
    for place, part in enumerate(next(iter(named.values()), {})):
        figure.add_bar(
            y=list(named), x=[parts[part] for parts in named.values()], name=part, orientation="h",
            marker={"color": colour_of(place)}, hovertemplate="%{y}, %{fullData.name}: %{x:.0%}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(barmode="stack", bargap=0.45)
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    figure.update_yaxes(autorange="reversed")
    return figure


def _searched(studies: Sequence[Study]) -> list[Study]:
    return [study for study in studies if not study.is_confirm]


def colour_of(place: int) -> str:
    """Return the colour of a stage by its place in the campaign."""
    return _STAGES[place % len(_STAGES)]


def _spans(study: Study) -> list[tuple[float, float]]:
    """Return begin and end of each trial that has ended, in seconds, in the order they began."""
    return sorted(
        (trial.datetime_start.timestamp(), trial.datetime_complete.timestamp())
        for trial in study.trials
        if trial.datetime_start and trial.datetime_complete
    )


def _add_spans(
    figure: go.Figure, name: str, spans: Sequence[tuple[float, float]], zero: float, height: int, colour: str
) -> None:  # fmt: skip
    minutes = [None if at is None else (at - zero) / 60 for span in spans for at in (*span, None)]
    rows = [row for place in range(len(spans)) for row in (height + place + 1, height + place + 1, None)]
    figure.add_scatter(
        x=minutes, y=rows, mode="lines", name=name, line={"width": 3, "color": colour},
        hovertemplate="%{x:.1f} minutes<extra>%{fullData.name}</extra>",
    )  # fmt: skip


def _add_curve(figure: go.Figure, name: str, values: Sequence[float | None], line: dict[str, Any]) -> None:
    epochs = list(range(1, len(values) + 1))
    figure.add_scatter(x=epochs, y=list(values), mode="lines", name=name, line=line)


def _over_epochs(figure: go.Figure, title: str) -> go.Figure:
    figure.update_xaxes(title="epoch")
    figure.update_yaxes(title=title)
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

    def of(self, found: _Found) -> dict[str, Any]:
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


def _by_state(studies: Sequence[Study]) -> dict[TrialState, _Found]:
    return {
        state: [(study, trial) for study in studies for trial in study.trials if trial.state is state]
        for state in TrialState
    }


def _points(found: Mapping[TrialState, _Found]) -> Iterator[go.Scatter]:
    """Yield the trials as dots, those that matter most on top: the best of the completed, and what diverged."""
    completed = sorted(found[TrialState.COMPLETE], key=lambda pair: value_of(pair[1]))
    begun = [(study, trial) for study, trial in found[TrialState.RUNNING] if trial.intermediate_values]
    pruned, failed = found[TrialState.PRUNED], found[TrialState.FAIL]
    scale = _Scale.over(trial for _, trial in [*completed, *pruned, *begun])
    thin, bar = {"width": 0.5, "color": "rgba(128,128,128,0.7)"}, {"showscale": True, "colorbar": scale.bar()}
    yield _dots("pruned", pruned, {**scale.of(pruned), "size": 8, "symbol": "triangle-down", "line": thin})
    yield _dots("in training", begun, {**scale.of(begun), "size": 9, "symbol": "circle-open", "line": {"width": 2}})
    yield _dots("completed", completed, {**scale.of(completed), "size": 9, "line": thin, **(bar if completed else {})})
    yield _dots(_how_failed(failed), failed, {"size": 8, "symbol": "x", "color": _ENDED_BADLY})


def _around(ranges: Sequence[Range]) -> list[float]:
    """Return the logarithms between which all ranges lie, with room for points and names at their edges."""
    low, high = (math.log10(f(b)) for f, b in ((min, [r.low for r in ranges]), (max, [r.high for r in ranges])))
    room = 0.06 * (high - low)
    return [low - room, high + room]


def _how_failed(failed: _Found) -> str:
    diverged = all("diverged" in trial.user_attrs.get("reason", "") for _, trial in failed)
    return "diverged" if diverged else "diverged or failed"


def _dots(name: str, found: _Found, marker: dict[str, Any]) -> go.Scatter:
    points = [point_of(trial) for _, trial in found]
    told = "%{customdata[0]} trial %{customdata[1]}<br>η %{x:.5g}, λ %{y:.3g}<br>%{customdata[2]}<extra></extra>"
    return go.Scatter(
        x=[point.eta for point in points], y=[point.lam for point in points], mode="markers", name=name,
        marker=marker, customdata=_links(found), hovertemplate=told, showlegend=bool(found),
    )  # fmt: skip


def _links(found: Iterable[tuple[Study, FrozenTrial]]) -> list[list[Any]]:
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
