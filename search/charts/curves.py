"""Lines and bars: values over epochs, over trials and over time."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.campaign.metric import ACCURACY, Metric
from coarsefine.search.charts.axes import value_axis
from coarsefine.search.charts.drawn_trials import MOST_DRAWN, evenly, legend_name, search_studies, thinned, trial_links
from coarsefine.search.charts.theme import CURVE_COLOURS, stage_colour
from coarsefine.search.results.final_result import FinalResult
from coarsefine.search.results.study import Study, value_of

_UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
"""Units of the axis of a timeline, which is at least two of them long, in seconds."""


def best_so_far(studies: Sequence[Study], metric: Metric = ACCURACY) -> go.Figure:
    """Draw each completed trial's value and the best value so far, in the order in which the trials completed."""
    figure = go.Figure()
    values: list[float] = []
    for index, study in enumerate(search_studies(studies)):
        numbered = list(enumerate(_completed(study), len(values) + 1))
        values += [value_of(trial) for _, trial in numbered]
        figure.add_trace(_value_dots(study, numbered, stage_colour(index), metric))
    figure.add_trace(_best_line(values, metric))
    return figure.update_xaxes(title="completed trials").update_yaxes(**value_axis(metric))


def loss_curves(trials: Iterable[tuple[str, FrozenTrial]]) -> go.Figure:
    """Draw the losses of named trials over the epochs: validation solid, training dotted."""
    figure = go.Figure()
    for index, (name, trial) in enumerate(trials):
        for kind, dash in (("validation", "solid"), ("train", "dot")):
            losses = trial.user_attrs.get(f"{kind}_loss", [])
            line = {"dash": dash, "color": CURVE_COLOURS[index % len(CURVE_COLOURS)]}
            _add_curve(figure, name, losses, line)
            hover = f"{name}, epoch %{{x}}<br>{kind} loss %{{y:.4f}}<extra></extra>"
            figure.data[-1].update(legendgroup=name, showlegend=kind == "validation", hovertemplate=hover)
    return _over_epochs(figure, "loss (dotted: training)")


def curves(lines: Mapping[str, Sequence[float | None]], title: str) -> go.Figure:
    """Draw named lines over the epochs, with the title of the vertical axis."""
    figure = go.Figure()
    for index, (name, values) in enumerate(lines.items()):
        _add_curve(figure, name, values, {"color": stage_colour(index)})
    return _over_epochs(figure, escape(title))


def timeline(studies: Sequence[Study], final: FinalResult | None) -> go.Figure:
    """Draw when each trial and the final training ran: one horizontal line each, in the order in which they started.

    Of a stage with very many trials an even sample is drawn, each trial at its own height.
    """
    lines = [(study.attrs["stage"], study.spans) for study in studies]
    zero = min((start for _, spans in lines for start, _ in spans), default=0.0)
    if final is not None:
        ended = datetime.fromisoformat(final.ended).timestamp()
        lines.append(("final training", [(ended - final.seconds, ended)]))
    until = max((end for _, spans in lines for _, end in spans), default=zero)
    unit, name_of_unit = next((u for u in _UNITS if until - zero >= 2 * u[0]), _UNITS[-1])
    figure, height = go.Figure(), 0
    for index, (name, spans) in enumerate(lines):
        drawn = evenly(range(len(spans)), MOST_DRAWN)
        # None separates the lines of one trace.
        times = [None if at is None else (at - zero) / unit for place in drawn for at in (*spans[place], None)]
        heights = [at for place in drawn for at in (height + 1 + place, height + 1 + place, None)]
        figure.add_scatter(
            x=times, y=heights, mode="lines", name=legend_name(name, len(drawn), len(spans)),
            line={"width": 3, "color": stage_colour(index)},
            hovertemplate=f"%{{x:.1f}} {name_of_unit}<extra>%{{fullData.name}}</extra>",
        )  # fmt: skip
        height += len(spans)
    figure.update_xaxes(title=f"{name_of_unit} since the first trial started")
    figure.update_yaxes(title="trials, in the order they started")
    return figure


def seconds_in_training(studies: Iterable[Study]) -> float:
    """Return the time during which at least one of the trials that have ended was in training."""
    covered, until = 0.0, float("-inf")
    for start, end in sorted(span for study in studies for span in study.spans):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered


def share_bars(bars: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """Draw named bars, the first at the top. Each is divided into parts, whose shares add up to one."""
    figure = go.Figure()
    for index, part in enumerate(next(iter(bars.values()), {})):
        figure.add_bar(
            y=list(bars), x=[parts[part] for parts in bars.values()], name=part, orientation="h",
            marker={"color": stage_colour(index)}, hovertemplate="%{y}, %{fullData.name}: %{x:.0%}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(barmode="stack", bargap=0.45)
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    figure.update_yaxes(autorange="reversed")
    return figure


def _completed(study: Study) -> list[FrozenTrial]:
    """Return the completed trials, in the order in which they completed."""
    return sorted(
        (trial for trial in study.trials if trial.state is TrialState.COMPLETE),
        key=lambda trial: (trial.datetime_complete is None, trial.datetime_complete, trial.number),
    )


def _value_dots(study: Study, numbered: Sequence[tuple[int, FrozenTrial]], colour: str, metric: Metric) -> go.Scatter:
    drawn = thinned(numbered, lambda pair: metric.direction.key(value_of(pair[1])))
    return go.Scatter(
        x=[number for number, _ in drawn], y=[value_of(trial) for _, trial in drawn], mode="markers",
        name=legend_name(study.attrs["stage"], len(drawn), len(numbered)), marker={"size": 6, "color": colour},
        customdata=trial_links(((study, trial) for _, trial in drawn), metric), showlegend=bool(numbered),
        hovertemplate=f"%{{customdata[0]}} trial %{{customdata[1]}}: %{{y:{_number_format(metric)}}}<extra></extra>",
    )  # fmt: skip


def _number_format(metric: Metric) -> str:
    return ".2%" if metric.is_share else ".5g"


def _best_line(values: Sequence[float], metric: Metric) -> go.Scatter:
    best = metric.direction.running_best(values)
    corners = [(number, new) for number, (old, new) in enumerate(pairwise([None, *best]), 1) if new != old]
    if values:
        corners.append((len(values), best[-1]))
    return go.Scatter(
        x=[number for number, _ in corners], y=[value for _, value in corners], mode="lines", name="best so far",
        line={"shape": "hv", "color": "#888"},
        hovertemplate=f"best of %{{x}}: %{{y:{_number_format(metric)}}}<extra></extra>",
    )  # fmt: skip


def _add_curve(figure: go.Figure, name: str, values: Sequence[float | None], line: dict[str, Any]) -> None:
    epochs = list(range(1, len(values) + 1))
    mode = "lines" if len(values) > 1 else "markers"  # a line of one epoch is nothing
    figure.add_scatter(x=epochs, y=list(values), mode=mode, name=name, line=line)


def _over_epochs(figure: go.Figure, title: str) -> go.Figure:
    return figure.update_xaxes(title="epoch").update_yaxes(title=title)
