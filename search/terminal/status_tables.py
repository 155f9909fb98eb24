"""What people read: tables on stdout, talk on stderr. Colours are for terminals; NO_COLOR holds."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from coarsefine.search.campaign import labels
from coarsefine.search.campaign.metric import ACCURACY, Metric
from coarsefine.search.campaign.winner import Verdict
from coarsefine.search.results.final_result import FinalResult
from coarsefine.search.results.status import StageStatus, Status, Trial

out = Console(highlight=False, soft_wrap=True)
"""Data."""
err = Console(stderr=True, highlight=False, soft_wrap=True)
"""Talk."""
_WIDEST = 1000
"""Columns of a table."""


def percent(share: float) -> str:
    """Return a fraction as people read it."""
    return ACCURACY.text(share)


def duration(seconds: float) -> str:
    """Return a time as people read it: `0:41`, `1:02:10`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"  # noqa: PLR2004


def ranges(stage: StageStatus) -> str:
    """Return a stage's ranges, and which bounds winners pressed against."""
    if stage.space is None:
        return "ranges not known before its parent ends"
    pressed = stage.attrs.get("pressed")
    beyond = f" (the parent's best press against {', '.join(pressed)})" if pressed else ""
    return f"{labels.space_text(stage.space)}{beyond}"


def counts(stage: StageStatus) -> str:
    """Return how many trials of a stage ended, and how."""
    kinds = ("completed", "pruned", "diverged", "failed", "running", "waiting")
    told = [f"{getattr(stage, kind)} {kind}" for kind in kinds if getattr(stage, kind)]
    return f"{', '.join(told)} of {stage.trials} trials"


def print_status(status: Status) -> None:
    """Print stages with their best trials, the winner and the final training."""
    for stage in status.stages:
        print_stage(stage, status.metric)
    if status.verdict:
        print_finalists(status.verdict, status.metric)
    print_winner(status)
    if status.final:
        print_final(status.final)
    for training in status.trainings:
        print_final(training)
    out.print(f"Studies: {status.storage} ({status.state}, {status.seconds:.1f} s from first to last)", markup=False)


def print_stage(stage: StageStatus, metric: Metric) -> None:
    """Print one stage's ranges and its best trials."""
    out.print(f"[bold]{stage.study}[/bold]: {counts(stage)}; {ranges(stage)}")
    if stage.best:
        _print_trials(stage.best, metric)
    out.print()


def print_winner(status: Status) -> None:
    """Print the winner and what its value is worth."""
    if status.winner is None:
        return
    trial, metric = status.winner.trial, status.metric
    out.print(f"[bold]Winner[/bold]: trial {trial.number} of {status.winner.study}, "
              f"{labels.point_text(trial.point)}, {metric.name} {metric.text(trial.value)}")  # fmt: skip
    if status.verdict is None:
        unlike = "; the test accuracy is not" if status.final else ""
        out.print(f"  the highest of {status.winner.chosen_from} values, hence an optimistic one{unlike}")
        return
    out.print(f"  {status.verdict.summary}")
    if (optimism := status.verdict.optimism) is not None:
        out.print(f"  the search's best value was optimistic by {metric.difference(optimism)}")


def print_final(final: FinalResult) -> None:
    """Print what a final training came to."""
    validation = final.validation_accuracy
    parts = {"training": final.train_accuracy, "validation": validation, "test": final.test_accuracy}
    told = ", ".join(f"{name} {percent(share)}" for name, share in parts.items() if share is not None)
    beside = "; validation images were trained on" if validation is None else ""
    trial = f"trial {final.number} of {final.study}"
    out.print(f"Final training of {trial}, {final.epochs} epochs: {told}{beside}", markup=False)
    if final.test is not None:
        ensemble = f"together, as an ensemble, {percent(final.ensemble_accuracy)}"
        out.print(f"Test accuracy over seeds {ACCURACY.spread(final.test)}; {ensemble}", markup=False)
    out.print(f"{final.reproduction.words} Folder: {final.folder}", markup=False)


def print_finalists(verdict: Verdict, metric: Metric) -> None:
    """Print each finalist's mean over the seeds, with its interval, and how far it is behind the leader."""
    searched = map(labels.symbol, verdict.finalists[0].candidate.point)
    names = ("finalist", *searched, "search", "mean", "behind", "best")
    table = Table(*names, box=box.SIMPLE, show_edge=False, padding=(0, 1, 0, 0))
    for finalist in verdict.finalists:
        found, point = finalist.candidate, finalist.candidate.point
        name = f"{found.study.rpartition('/')[2]} {found.number}"
        mean = metric.spread(finalist.confirmed) if finalist.confirmed else "failed on a seed"
        behind = metric.spread(finalist.behind) if finalist.behind else ""
        value, best = metric.number(found.value), f"{finalist.probability:.0%}"
        table.add_row(name, *labels.quantities(point), value, mean, behind, best)
    _print(table)
    seeds = len(verdict.finalists[0].values)
    unit = "in %; " if metric.is_share else ""
    out.print(f"  {unit}±: 95 % interval over {seeds} seeds, the same for each; best: how often, seeds drawn anew")
    out.print()


def _print_trials(trials: Sequence[Trial], metric: Metric) -> None:
    table = Table("trial", *map(labels.symbol, trials[0].point), metric.name, "seed", box=box.SIMPLE, show_edge=False)
    for trial in trials:
        table.add_row(str(trial.number), *labels.quantities(trial.point), metric.text(trial.value), str(trial.seed))
    _print(table)


def _print(table: Table) -> None:
    """Print a table as wide as it is: a cell that is folded cannot be read down its column, nor by `grep`."""
    wide = out.options.update(max_width=_WIDEST)
    out.print(table, width=max(out.width, Measurement.get(out, wide, table).maximum))


def print_table(headings: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print rows of plain text under headings."""
    table = Table(*headings, box=box.SIMPLE, show_edge=False)
    for row in rows:
        table.add_row(*map(str, row))
    _print(table)
