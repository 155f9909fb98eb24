"""The figures of a report: drawn by `coarsefine.search.charts`, with their captions and descriptions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from coarsefine.search import charts
from coarsefine.search.campaign import labels
from coarsefine.search.campaign.metric import Accuracy
from coarsefine.search.report.content import Content, StageContent
from coarsefine.search.report.formatting import duration, number, percent, with_error
from coarsefine.search.results.status import Trial
from coarsefine.search.results.study import values_by_epoch

Lines = Mapping[str, Sequence[float | None]]
"""Values over the epochs, by name."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the page."""

    id: str
    """Anchor in the page, and name of the image file."""
    plot: go.Figure
    height: int
    """In pixels."""
    caption: str
    alt: str
    """Description for people who cannot see the figure."""
    section: str
    lines: Lines = field(default_factory=dict)
    """What the figure draws over the epochs. The page also shows it as a table."""

    def themed(self, theme: charts.Theme) -> go.Figure:
        """Return a copy for a light or dark page. Its legend is above, where it covers no axis title."""
        figure = charts.themed(go.Figure(self.plot), theme)
        figure.update_layout(legend={"yref": "paper", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"})
        return figure.update_yaxes(automargin=True)

    @property
    def page_plot(self) -> dict[str, Any]:
        """Return the plot as the page's script draws it: its traces once, and its layouts for light and dark pages."""
        light, dark = (json.loads(self.themed(theme).to_json()) for theme in ("light", "dark"))
        return {"data": light["data"], "layout": {"light": light["layout"], "dark": dark["layout"]}}


def all_figures(content: Content) -> list[Figure]:
    """Return all figures that have something to show, in the order of the page."""
    if content.images is None:
        figures = [*_value_figures(content), *_time(content)]
    else:
        figures = [*_overview(content), *_stages(content), *_importance(content), *_time(content)]
        figures += [*_final(content), *_momentum(content)]
    for figure in figures:
        figure.plot.update_layout(template="none", height=figure.height)  # `themed` sets the colours
    return figures


def _value_figures(content: Content) -> Iterator[Figure]:
    """Draw the values that a user's function reported."""
    winner, metric = content.status.winner, content.status.metric
    if winner is None:
        return
    yield Figure(
        "best-so-far", charts.best_so_far(content.studies, metric), 380,
        f"The {metric.title} of each completed trial in the order they completed, and the best one so far.",
        f"The best {metric.title} so far is {metric.text(winner.value)} after {winner.chosen_from} trials.",
        "overview",
    )  # fmt: skip
    best = [(s.plan.name, s.trial(trial.number)) for s in content.stages for trial in s.status.best]
    lines = {f"{stage} {t.number}": values_by_epoch(t) for stage, t in best}
    if max(map(len, lines.values())) > 1:
        yield Figure(
            "values", charts.curves(lines, metric.title), 380, "The best trials of each stage by epoch.",
            f"The {metric.title} over the epochs: {_from_to(lines)}.", "overview", lines,
        )  # fmt: skip


def _overview(content: Content) -> Iterator[Figure]:
    if not content.ended or content.images is None:
        return
    yield _map(content)
    winner = content.status.winner
    if winner is None:
        return
    yield Figure(
        "best-so-far", charts.best_so_far(content.studies), 380,
        "The validation accuracy of each completed trial in the order they completed, and the best accuracy so far. "
        f"Each is measured on {content.images.validation:,} images.",
        f"The best accuracy so far rises to {percent(winner.value)} over {winner.chosen_from} completed trials.",
        "overview",
    )  # fmt: skip


def _map(content: Content) -> Figure:
    status = content.status
    drawn = charts.map_of_trials(content.studies, status.winner, is_decided=status.is_decided)
    plot, leader = _fit_narrow_screens(drawn), "winner" if status.is_decided else "best trial so far"
    axes = " and ".join(plot.layout[f"{axis}axis"].title.text for axis in "xy")
    ended = sum(trial.state.is_finished() for stage in content.stages for trial in stage.trials)
    boxes = ", ".join(f"{s.plan.name} {labels.space_text(s.study.space)}" for s in content.stages if s.study)
    return Figure(
        "trials", plot, 620,
        f"Every trial by {axes}. The colour is the validation accuracy, a cross is a trial that diverged or failed, a "
        f"box is the ranges of a stage, and the ring is the {leader}.",
        f"Scatter plot of {ended} trials by {axes}, with the ranges of the stages as boxes: {boxes}.",
        "overview",
    )  # fmt: skip


def _fit_narrow_screens(plot: go.Figure) -> go.Figure:
    """Put the map's colour bar below it, and space its ticks so that they do not touch on a phone."""
    bar = {
        "orientation": "h",
        "yref": "paper",
        "y": -0.16,
        "yanchor": "top",
        "thickness": 12,
        "title": {"side": "bottom"},
    }
    plot.update_traces(marker_colorbar=bar, selector={"meta": "completed"})
    for update, axis in ((plot.update_xaxes, plot.layout.xaxis), (plot.update_yaxes, plot.layout.yaxis)):
        low, high = axis.range
        if axis.type == "log" and high - low >= 2:  # noqa: PLR2004 - over two decades, powers of ten are enough
            update(dtick=1, minor={"showgrid": False})
    return plot


def _stages(content: Content) -> Iterator[Figure]:
    for stage in content.stages:
        if stage.epochs == 1:  # a curve of one epoch is a point
            continue
        published = content.published.best_of(stage.plan.name) if content.published else []
        remarks = [*map(_published_remark, published), *[""] * len(stage.best)]
        figures = [_losses(stage, rank, *best, remarks[rank]) for rank, best in enumerate(stage.best)]
        _share_range([figure.plot for figure in figures])
        yield from figures


def _losses(stage: StageContent, rank: int, trial: Trial, accuracy: Accuracy, remark: str) -> Figure:
    attrs = stage.trial(trial.number).user_attrs
    lines = {"training": attrs.get("train_loss", []), "validation": attrs.get("validation_loss", [])}
    return Figure(
        f"loss-{stage.index + 1}-{rank + 1}", charts.curves(lines, "loss"), 280,
        f"Trial {trial.number}: {labels.point_text(trial.point)}, seed {trial.seed}; {with_error(accuracy)}.{remark}",
        f"Training and validation loss of trial {trial.number} of {stage.plan.name} over "
        f"{len(lines['training'])} epochs: {_from_to(lines)}.", f"stage-{stage.index + 1}", lines,
    )  # fmt: skip


def _published_remark(best: Mapping[str, Any]) -> str:
    hyperparameters = f"η = {number(best['eta'])}, λ = {number(best['lambda'])}, {percent(best['accuracy'])}"
    return f" The published report, {best['where']}: {hyperparameters}."


def _importance(content: Content) -> Iterator[Figure]:
    importances = content.importances
    if not importances:
        return
    shares = {i.stage: {labels.title(part.name): part.share for part in i.parts} for i in importances}
    bars = "; ".join(
        f"{i.stage}: {', '.join(f'{labels.symbol(part.name)} {part.share:.0%}' for part in i.parts)}"
        for i in importances
    )
    yield Figure(
        "importance", charts.share_bars(shares), 110 + 60 * len(importances),
        "The share of each hyperparameter in what separates the best tenth of a stage's trials from the others "
        "(PED-ANOVA, Optuna's default measure). The table shows what chance alone would give.",
        f"Bars of parameter importance. {bars}.", "importance",
    )  # fmt: skip


def _time(content: Content) -> Iterator[Figure]:
    if not any(stage.seconds for stage in content.stages):
        return
    yield Figure(
        "time", charts.timeline(content.studies, content.status.final), 380,
        "When each trial was in training. Each trial is a line, from its start to its end. Trials trained "
        "at the same time, in one stack or in several workers, have lines one above the other.",
        f"Timeline of {content.ended} trials over {duration(content.status.seconds)}.", "time",
    )  # fmt: skip


def _final(content: Content) -> Iterator[Figure]:
    final = content.status.final
    if final is None or content.images is None or final.epochs == 1:
        return
    curves = {"training": final.curves.train_loss, "validation": final.curves.validation_loss}
    losses = {part: values for part, values in curves.items() if values}
    mean = f", mean of {len(final.seeds)} seeds" if len(final.seeds) > 1 else ""
    accuracy = {"validation": final.curves.validation_accuracy}
    yield Figure(
        "final-loss", charts.curves(losses, "loss"), 340,
        f"Loss of the final training over {final.epochs} epochs{mean}.{_published_place(content, 'final')}",
        f"{' and '.join(losses)} loss of the final training: {_from_to(losses)}.".capitalize(), "final", losses,
    )  # fmt: skip
    if final.on_validation:
        return
    yield Figure(
        "final-accuracy", charts.curves(accuracy, "accuracy").update_yaxes(tickformat=".0%"), 340,
        f"Accuracy of the final training on the {content.images.validation:,} validation images{mean}.",
        f"Validation accuracy of the final training: {_from_to(accuracy)}.", "final", accuracy,
    )  # fmt: skip


def _momentum(content: Content) -> Iterator[Figure]:
    if content.momentum is None:
        return
    study = content.momentum
    lines = {f"ρ = {curve['rho']:g}": curve["train_losses"] for curve in study["curves"]}
    yield Figure(
        "momentum", charts.curves(lines, "training loss").update_yaxes(type="log"), 400,
        f"Training loss with {len(lines)} momentum coefficients ρ, from the same initial weights: "
        f"η = {number(study['eta'])}, λ = 0, decay {number(study['decay'])}, mini-batches of {study['batch']}. One "
        f"training for each ρ.{_published_place(content, 'momentum')}",
        f"Training loss over {study['epochs']} epochs: {_from_to(lines)}.", "momentum", lines,
    )  # fmt: skip


def _published_place(content: Content, part: str) -> str:
    return f" In the published report: {getattr(content.published, part)['where']}." if content.published else ""


def _share_range(plots: Sequence[go.Figure]) -> None:
    """Give plots that stand side by side the same vertical axis."""
    values = [y for plot in plots for trace in plot.data for y in trace.y if y is not None]
    if values:
        room = 0.05 * (max(values) - min(values))
        for plot in plots:
            plot.update_yaxes(range=[min(values) - room, max(values) + room])


def _from_to(lines: Lines) -> str:
    parts: list[str] = []
    for name, values in lines.items():
        known: list[Any] = [value for value in values if value is not None]
        parts.append(f"{name} from {known[0]:.4g} to {known[-1]:.4g}" if known else f"{name} unknown")
    return ", ".join(parts)
