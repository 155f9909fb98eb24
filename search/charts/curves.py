"""Lines and bars: over epochs, over trials, over time."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.campaign.metric import ACCURACY, Metric
from coarsefine.search.charts.theme import (
    CURVES,
    colour_of,
    counted,
    links,
    searched,
    thinned,
)
from coarsefine.search.results.final_result import FinalResult
from coarsefine.search.results.study import Study, value_of


def best_so_far(studies: Sequence[Study], metric: Metric = ACCURACY) -> go.Figure:
    """Draw the value of each trial in the order they ended, and the best up to each, across the search's stages."""
    shown_as = ".2%" if metric.is_share else ".5g"
    figure, came, rises = go.Figure(), 0, [(0, float("-inf"))]
    for place, study in enumerate(searched(studies)):
        ended = sorted(
            (trial for trial in study.trials if trial.state is TrialState.COMPLETE),
            key=lambda trial: (trial.datetime_complete is None, trial.datetime_complete, trial.number),
        )
        numbered = list(enumerate(ended, came + 1))
        came += len(ended)
        for at, trial in numbered:
            if value_of(trial) > rises[-1][1]:
                rises.append((at, value_of(trial)))
        shown = thinned(numbered, lambda pair: value_of(pair[1]))
        figure.add_scatter(
            x=[at for at, _ in shown], y=[value_of(trial) for _, trial in shown], mode="markers",
            name=counted(study.attrs["stage"], len(shown), len(ended)), marker={"size": 6, "color": colour_of(place)},
            customdata=links((study, trial) for _, trial in shown), showlegend=bool(ended),
            hovertemplate=f"%{{customdata[0]}} trial %{{customdata[1]}}: %{{y:{shown_as}}}<extra></extra>",
        )  # fmt: skip
    line = [*rises[1:], *([(came, rises[-1][1])] if came else [])]
    figure.add_scatter(
        x=[at for at, _ in line], y=[best for _, best in line], mode="lines", name="best so far",
        line={"shape": "hv", "color": "#888"}, hovertemplate=f"best of %{{x}}: %{{y:{shown_as}}}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title="completed trials")
    if metric.is_share:
        figure.update_yaxes(title="validation accuracy", tickformat=".2~%")
    else:
        figure.update_yaxes(title=metric.name)
    return figure


def loss_curves(trials: Iterable[tuple[str, FrozenTrial]]) -> go.Figure:
    """Draw the loss over the epochs of some trials, each under its name: validation solid, training dotted."""
    figure = go.Figure()
    for place, (name, trial) in enumerate(trials):
        for kind, dash in (("validation", "solid"), ("train", "dot")):
            losses = trial.user_attrs.get(f"{kind}_loss", [])
            line = {"dash": dash, "color": CURVES[place % len(CURVES)]}
            _add_curve(figure, name, losses, line)
            told = f"{name}, epoch %{{x}}<br>{kind} loss %{{y:.4f}}<extra></extra>"
            figure.data[-1].update(legendgroup=name, showlegend=kind == "validation", hovertemplate=told)
    return _over_epochs(figure, "loss (dotted: training)")


def value_curves(trials: Iterable[tuple[str, FrozenTrial]]) -> go.Figure:
    """Draw the value after each epoch of some trials, each under its name: what a function of the user's reports."""
    return curves({name: [value for _, value in sorted(t.intermediate_values.items())] for name, t in trials}, "value")


def curves(named: Mapping[str, Sequence[float | None]], title: str) -> go.Figure:
    """Draw values over the epochs, a line for each name."""
    figure = go.Figure()
    for place, (name, values) in enumerate(named.items()):
        _add_curve(figure, name, values, {"color": colour_of(place)})
    return _over_epochs(figure, title)


def timeline(studies: Sequence[Study], final: FinalResult | None) -> go.Figure:
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
