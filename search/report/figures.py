"""The figures of a report: drawn by `coarsefine.search.charts`, with the words that stand under and for each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from coarsefine.search import charts
from coarsefine.search.campaign import labels
from coarsefine.search.campaign.accuracy import Accuracy
from coarsefine.search.report.content import StageStory, Story
from coarsefine.search.report.formatting import number, percent, with_error
from coarsefine.search.report.importance import Importance
from coarsefine.search.results.status import Trial

Curves = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure."""

    id: str
    """Its anchor in the page, and the name of its image file."""
    plot: go.Figure
    caption: str
    alt: str
    """What it shows, for those who do not see it."""
    section: str
    curves: Curves = field(default_factory=dict)
    """What it draws over the epochs, to be read as a table."""

    def inked(self, theme: charts.Theme) -> go.Figure:
        """Return a copy in ink for light or dark paper, its legend above, where it hides no axis title."""
        figure = charts.themed(go.Figure(self.plot), theme)
        figure.update_layout(legend={"yref": "paper", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"})
        return figure.update_yaxes(automargin=True)


def all_figures(story: Story) -> list[Figure]:
    """Return every figure there is something to draw for, in the order of the page."""
    if story.images is None:
        found = [*_of_values(story), *_time(story)]
    else:
        found = [*_overview(story), *_stages(story), *_importance(story), *_time(story), *_final(story)]
        found += _momentum(story)
    for figure in found:
        figure.plot.update_layout(template="none")  # its ink is that of the page
    return found


def _of_values(story: Story) -> Iterator[Figure]:
    """Draw what a function of the user's reported."""
    winner, metric = story.status.winner, story.status.metric
    if winner is None:
        return
    yield Figure(
        "best-so-far", _sized(charts.best_so_far(story.studies, metric), 380),
        "The value of each completed trial in the order they ended, and the best up to there.",
        f"The best value so far rises to {metric.text(winner.trial.value)} over {winner.chosen_from} trials.",
        "overview",
    )  # fmt: skip
    best = [(s.plan.name, s.trial(trial.number)) for s in story.stages for trial in s.status.best]
    lines = {f"{stage} {t.number}": [v for _, v in sorted(t.intermediate_values.items())] for stage, t in best}
    if max(map(len, lines.values())) > 1:
        yield Figure(
            "values", _sized(charts.curves(lines, metric.name), 380), "The best trials of each stage, epoch by epoch.",
            f"Values over the epochs: {_from_to(lines)}.", "overview", lines,
        )  # fmt: skip


def _overview(story: Story) -> Iterator[Figure]:
    if not story.ended or story.images is None:
        return
    plot = _on_any_width(charts.map_of_trials(story.studies, story.status.winner))
    axes = " and ".join(plot.layout[f"{axis}axis"].title.text for axis in "xy")
    boxes = ", ".join(f"{s.plan.name} {_ranges(s)}" for s in story.stages if s.study)
    yield Figure(
        "trials", _sized(plot, 620),
        f"Every trial in {axes}. Colour is validation accuracy; a cross is a trial that diverged or failed; a box is "
        "the ranges of a stage; the ring is the winner.",
        f"Scatter plot of {story.ended} trials in {axes} with the ranges of the stages as boxes: {boxes}.", "overview",
    )  # fmt: skip
    if story.status.winner is None:
        return
    plot = charts.best_so_far(story.studies).update_xaxes(title="completed trials")
    yield Figure(
        "best-so-far", _sized(plot, 380),
        f"Validation accuracy of each completed trial in the order they ended, and the best up to there. Each is "
        f"measured on {story.images.validation:,} images.",
        f"The best accuracy so far rises to {percent(story.status.winner.trial.value)} over "
        f"{story.status.winner.chosen_from} completed trials.", "overview",
    )  # fmt: skip


def _on_any_width(plot: go.Figure) -> go.Figure:
    """Give the map a colour bar below, and ticks that do not touch each other on a phone."""
    bar = {"orientation": "h", "y": -0.16, "yanchor": "top", "thickness": 12, "title": {"side": "bottom"}}
    plot.update_traces(marker_colorbar=bar, selector={"meta": "completed"})
    for update, axis in ((plot.update_xaxes, plot.layout.xaxis), (plot.update_yaxes, plot.layout.yaxis)):
        low, high = axis.range
        if axis.type == "log" and high - low >= 2:  # noqa: PLR2004 - then powers of ten alone are ticks enough
            update(dtick=1, minor={"showgrid": False})
    return plot


def _stages(story: Story) -> Iterator[Figure]:
    for stage in story.stages:
        reported = story.reported.best_of(stage.plan.name) if story.reported else []
        told = [*map(_told, reported), *[""] * len(stage.best)]
        drawn = [_loss_figure(stage, place, *best, told[place]) for place, best in enumerate(stage.best)]
        _share_range([figure.plot for figure in drawn])
        yield from drawn


def _loss_figure(stage: StageStory, place: int, trial: Trial, accuracy: Accuracy, reported: str) -> Figure:
    attrs = stage.trial(trial.number).user_attrs
    lines = {"training": attrs.get("train_loss", []), "validation": attrs.get("validation_loss", [])}
    return Figure(
        f"loss-{stage.place + 1}-{place + 1}", _sized(charts.curves(lines, "loss"), 280),
        f"Trial {trial.number}: {labels.point_text(trial.point)}, seed {trial.seed}; "
        f"{with_error(accuracy)}.{reported}",
        f"Training and validation loss of trial {trial.number} of {stage.plan.name} over "
        f"{len(lines['training'])} epochs: {_from_to(lines)}.", f"stage-{stage.place + 1}", lines,
    )  # fmt: skip


def _told(best: Mapping[str, Any]) -> str:
    setting = f"η = {number(best['eta'])}, λ = {number(best['lambda'])}, {percent(best['accuracy'])}"
    return f" The report's, {best['where']}: {setting}."


def _importance(story: Story) -> Iterator[Figure]:
    found = [importance for importance in story.importances if isinstance(importance, Importance)]
    if not found:
        return
    shares = {i.stage: {labels.title(one.name): one.share for one in i.parts} for i in found}
    told = "; ".join(
        f"{i.stage}: {', '.join(f'{labels.symbol(one.name)} {one.share:.0%}' for one in i.parts)}" for i in found
    )
    yield Figure(
        "importance", _sized(charts.shares(shares), 110 + 60 * len(found)),
        "Share of each setting in what separates the best tenth of a stage's trials from the others (PED-ANOVA, "
        "Optuna's default measure). The table says what chance alone would give.",
        f"Bars of parameter importance. {told}.", "importance",
    )  # fmt: skip


def _time(story: Story) -> Iterator[Figure]:
    if not any(stage.seconds for stage in story.stages):
        return
    yield Figure(
        "time", _sized(charts.timeline(story.studies, story.status.final), 380),
        "When each trial was in training: a line for each, from its claim to its end. Trials whose lines lie above "
        "each other trained together, as one stack or in several workers.",
        f"Time line of {story.ended} trials over {story.status.seconds / 60:.1f} minutes.", "time",
    )  # fmt: skip


def _final(story: Story) -> Iterator[Figure]:
    final = story.status.final
    if final is None or story.images is None:
        return
    told = {"training": final.curves.train_loss, "validation": final.curves.validation_loss}
    losses = {part: values for part, values in told.items() if values}
    mean = f", mean of {len(final.seeds)} seeds" if len(final.seeds) > 1 else ""
    accuracy = {"validation": final.curves.validation_accuracy}
    yield Figure(
        "final-loss", _sized(charts.curves(losses, "loss"), 340),
        f"Loss of the final training over {final.epochs} epochs{mean}.{_place(story, 'final')}",
        f"{' and '.join(losses)} loss of the final training: {_from_to(losses)}.".capitalize(), "final", losses,
    )  # fmt: skip
    if final.on_validation:
        return
    plot = _sized(charts.curves(accuracy, "accuracy"), 340)
    plot.update_yaxes(tickformat=".0%")
    yield Figure(
        "final-accuracy", plot,
        f"Accuracy of the final training on the {story.images.validation:,} validation images{mean}.",
        f"Validation accuracy of the final training: {_from_to(accuracy)}.", "final", accuracy,
    )  # fmt: skip


def _momentum(story: Story) -> Iterator[Figure]:
    if story.momentum is None:
        return
    study = story.momentum
    lines = {f"ρ = {curve['rho']:g}": curve["train_losses"] for curve in study["curves"]}
    plot = _sized(charts.curves(lines, "training loss"), 400)
    plot.update_yaxes(type="log")
    yield Figure(
        "momentum", plot,
        f"Training loss with four momentum coefficients ρ, from the same initial weights: η = {number(study['eta'])}, "
        f"λ = 0, decay {number(study['decay'])}, mini-batches of {study['batch']}. One training for each ρ."
        f"{_place(story, 'momentum')}",
        f"Training loss over {study['epochs']} epochs: {_from_to(lines)}.", "momentum", lines,
    )  # fmt: skip


def _place(story: Story, part: str) -> str:
    return f" In the report: {getattr(story.reported, part)['where']}." if story.reported else ""


def _sized(plot: go.Figure, height: int) -> go.Figure:
    plot.update_layout(height=height)
    return plot


def _share_range(plots: Sequence[go.Figure]) -> None:
    """Give plots that stand side by side the same vertical axis."""
    values = [y for plot in plots for trace in plot.data for y in trace.y if y is not None]
    if values:
        room = 0.05 * (max(values) - min(values))
        for plot in plots:
            plot.update_yaxes(range=[min(values) - room, max(values) + room])


def _ranges(stage: StageStory) -> str:
    assert stage.status.space is not None, "a study has ranges"  # noqa: S101
    return labels.space_text(stage.status.space)


def _from_to(lines: Curves) -> str:
    told: list[str] = []
    for name, values in lines.items():
        known: list[Any] = [value for value in values if value is not None]
        told.append(f"{name} from {known[0]:.4g} to {known[-1]:.4g}" if known else f"{name} unknown")
    return ", ".join(told)
