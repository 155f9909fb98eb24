"""The figures of a campaign, as Plotly's: for the campaign page, the report, and image files.

Each is made from the studies alone, and reads on light and on dark paper: `themed` sets the ink.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState

from search.status import Final, Winner
from search.study import Study, point_of, value_of

Theme = Literal["light", "dark"]
_INK = {"light": ("#1f2933", "#d9dee4"), "dark": ("#e4e7eb", "#3a444f")}
"""Of text, and of grid lines."""
_STAGES = ("#2f6fb3", "#d1711f", "#2d8a4e", "#9a4fb0", "#b3392f", "#5f6b76")
"""Of the stages, in order, then again from the first."""
_SCALE = "Viridis"


def themed(figure: go.Figure, theme: Theme) -> go.Figure:
    """Set a figure's ink for light or dark paper, which shows through it; return it."""
    ink, grid = _INK[theme]
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"color": ink, "family": "system-ui, sans-serif", "size": 13},
        margin={"l": 60, "r": 20, "t": 30, "b": 50},
        legend={"orientation": "h", "y": -0.2},
    )  # fmt: skip
    figure.update_xaxes(gridcolor=grid, linecolor=grid, zeroline=False)
    figure.update_yaxes(gridcolor=grid, linecolor=grid, zeroline=False)
    return figure


def map_of_trials(studies: Sequence[Study], winner: Winner | None) -> go.Figure:
    """Draw every trial in η and λ, coloured by its accuracy, and each stage's box within its parent's.

    Diverged trials are crosses: where they begin is the edge of stability. Points carry their study and number.
    """
    figure = go.Figure()
    for place, study in enumerate(studies):
        figure.add_trace(_box(study, colour_of(place)))
    completed = [(study, trial) for study in studies for trial in study.trials if trial.state is TrialState.COMPLETE]
    pruned = [(study, trial) for study in studies for trial in study.trials if trial.state is TrialState.PRUNED]
    failed = [(study, trial) for study in studies for trial in study.trials if trial.state is TrialState.FAIL]
    accuracies = [value_of(trial) for _, trial in completed]
    bar = {"title": {"text": "accuracy"}, "tickformat": ".0%", "thickness": 12}
    scale = {"color": accuracies, "colorscale": _SCALE, "colorbar": bar, "showscale": bool(completed)}
    figure.add_trace(_dots("completed", completed, {"size": 9, "line": {"width": 0.5, "color": "#888"}, **scale}))
    figure.add_trace(_dots("pruned", pruned, {"size": 6, "symbol": "triangle-down", "color": "#8a94a0"}))
    figure.add_trace(_dots("diverged or failed", failed, {"size": 8, "symbol": "x", "color": "#d64545"}))
    if winner is not None:
        ring = {"size": 18, "symbol": "circle-open", "color": "#d64545", "line": {"width": 3}}
        point = winner.trial
        figure.add_scatter(
            x=[point.eta], y=[point.lam], mode="markers", name="winner", marker=ring, hoverinfo="skip"
        )  # fmt: skip
    figure.update_xaxes(type="log", title="η, learning rate", exponentformat="power")
    figure.update_yaxes(type="log", title="λ, L2 weight", exponentformat="power")
    return figure


def best_so_far(studies: Sequence[Study]) -> go.Figure:
    """Draw the accuracy of each trial in the order they ended, and the best up to each, across the stages."""
    figure = go.Figure()
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
            hovertemplate="%{customdata[0]} trial %{customdata[1]}: %{y:.2%}<extra></extra>",
        )  # fmt: skip
        came += len(ended)
    figure.add_scatter(x=line[0], y=line[1], mode="lines", name="best so far", line={"shape": "hv", "color": "#888"})
    figure.update_xaxes(title="completed trials, in the order they ended")
    figure.update_yaxes(title="validation accuracy", tickformat=".0%")
    return figure


def loss_curves(trials: Iterable[tuple[str, FrozenTrial]]) -> go.Figure:
    """Draw training and validation loss over the epochs of some trials, each under its name."""
    figure = go.Figure()
    for place, (name, trial) in enumerate(trials):
        for kind, dash in (("train", "dot"), ("validation", "solid")):
            losses = trial.user_attrs.get(f"{kind}_loss", [])
            _add_curve(figure, f"{name}, {kind}", losses, {"dash": dash, "color": colour_of(place)})
    return _over_epochs(figure, "loss")


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
    eta, lam = study.space.eta, study.space.lam
    return go.Scatter(
        x=[eta.low, eta.high, eta.high, eta.low, eta.low], y=[lam.low, lam.low, lam.high, lam.high, lam.low],
        mode="lines", line={"color": colour, "width": 2}, name=f"ranges of {study.attrs['stage']}", hoverinfo="name",
    )  # fmt: skip


def _dots(name: str, found: Sequence[tuple[Study, FrozenTrial]], marker: dict[str, Any]) -> go.Scatter:
    points = [point_of(trial) for _, trial in found]
    told = "%{customdata[0]} trial %{customdata[1]}<br>η %{x:.5g}, λ %{y:.3g}<br>%{customdata[2]}<extra></extra>"
    return go.Scatter(
        x=[point.eta for point in points], y=[point.lam for point in points], mode="markers", name=name,
        marker=marker, customdata=_links(found), hovertemplate=told, visible=True if found else "legendonly",
    )  # fmt: skip


def _links(found: Iterable[tuple[Study, FrozenTrial]]) -> list[list[Any]]:
    """Return for each trial what a page needs to lead to it: study, number, how it ended."""
    return [[study.name, trial.number, _ending(trial)] for study, trial in found]


def _ending(trial: FrozenTrial) -> str:
    if trial.state is TrialState.COMPLETE:
        return f"{100 * value_of(trial):.2f} %"
    return str(trial.user_attrs.get("reason", trial.state.name.lower()))
