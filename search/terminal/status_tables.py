"""A campaign's status as text and tables on stdout."""

import os
from collections.abc import Iterable, Sequence

from rich.text import Text

from coarsefine.search.campaign import labels
from coarsefine.search.campaign.labels import listed
from coarsefine.search.campaign.metric import ACCURACY, VALUE, Metric
from coarsefine.search.campaign.sections import FINAL
from coarsefine.search.campaign.space import Point
from coarsefine.search.campaign.winner import Verdict
from coarsefine.search.campaign.words import counted
from coarsefine.search.results.commands import command, shown_path
from coarsefine.search.results.final_result import FinalResult
from coarsefine.search.results.final_runs import FinalRuns
from coarsefine.search.results.log_files import read_end
from coarsefine.search.results.retry import Retried
from coarsefine.search.results.sources import described
from coarsefine.search.results.status import StageStatus, Status, Trial, Winner
from coarsefine.search.results.trial_files import log_in
from coarsefine.search.storage.location import locate
from coarsefine.search.terminal.console import out, print_facts, print_line, print_prose, print_rows

_LOG_LINES, _LOG_WIDTH = 5, 200
"""How much of a failed trial's log is shown: its last lines, and their first characters."""
_COUNTED = ("completed", "pruned", "diverged", "failed", "running", "waiting")


def print_status(status: Status) -> None:
    """Print the stages with their best trials, the finalists, the winner and the final trainings."""
    print_best(status)
    for final in (status.final, *status.trainings):
        if final is not None:
            print_final(final)
    if (versions := described(status.sources)) is not None:
        print_facts(Text(versions))
    for change in status.version_changes:
        print_facts(Text(f"Versions changed: {change.text}."))
    failed = f", {counted(status.failed, 'trial')} failed" * bool(status.failed)
    state = "stopped" if status.has_stopped else status.state
    seconds = f"{status.seconds:.1f} s, first trial to last, with pauses"
    line = f"Studies: {status.storage} ({state}{failed}, {seconds})"
    print_line(line, trouble_style(status.stages))


def trouble_style(stages: Iterable[StageStatus]) -> str | None:
    """Return the colour of what is said about stages with failed trials: red if most of a stage failed, else yellow."""
    failed = [stage for stage in stages if stage.failed]
    return None if not failed else "red" if any(stage.mostly_failed for stage in failed) else "yellow"


def print_best(status: Status) -> None:
    """Print the best trials of each stage, the finalists and the winner."""
    for stage in status.stages:
        _print_stage(stage, status)
    if status.verdict:
        _print_finalists(status.verdict, status.metric)
    if status.winner:
        _print_winner(status, status.winner)
    if status.final_runs:
        print_final_runs(status.final_runs, status.metric)


def _print_stage(stage: StageStatus, status: Status) -> None:
    counts = ", ".join(f"{count} {kind}" for kind in _COUNTED if (count := getattr(stage, kind)))
    metric = status.metric
    print_facts(Text.assemble((stage.study, "bold"), f": {counts} of {stage.trials} trials; {ranges(stage, metric)}"))
    if stage.failure is not None:
        _print_failure(stage, *stage.failure, status)
    if stage.best:
        more = list(dict.fromkeys(name for trial in stage.best for name in trial.metrics))
        headings = ("trial", *_symbols(stage.best[0].point, metric), metric.name, *more, "seed")
        print_rows(headings, [_best_cells(trial, metric, more) for trial in stage.best])
    out.print()


def _best_cells(trial: Trial, metric: Metric, more: Sequence[str]) -> list[object]:
    further = [VALUE.text_or_nothing(trial.metrics.get(name)) for name in more]
    return [trial.number, *labels.quantities(trial.point), metric.text(trial.value), *further, trial.seed]


def _print_failure(stage: StageStatus, number: int, reason: str, status: Status) -> None:
    """Print why a trial of a stage failed, the last lines that it printed, and where the logs are."""
    count = f"{stage.failed} failed, for example" if stage.failed > 1 else "1 failed,"
    where = f" Logs: {shown_path(status.logs)}{os.sep}" if status.logs is not None else ""
    print_facts(Text(f"{count} trial {number}: {reason.rstrip('.')}.{where}"))
    end = read_end(log_in(status.logs, stage.name, number), status.logs) if status.logs is not None else None
    if end is not None and (lines := [line for line in end.lines if line]):
        for line in lines[-_LOG_LINES:]:
            print_line(f"  │ {line[:_LOG_WIDTH]}")
        location = locate(status.storage)
        print_line(f"  All of it: {command('logs', status.campaign, location, f'{stage.name}#{number}')}")


def ranges(stage: StageStatus, metric: Metric) -> str:
    """Return a stage's ranges, and the bounds against which the best trials of its parent press.

    Finalists have no ranges: their stage's space is what they span.
    """
    if stage.space is None:
        return "ranges not known before its parent ends"
    if finalists := stage.attrs.get("finalists"):
        return f"the {counted(len(finalists), 'best setting')} of all stages"
    pressed = stage.attrs.get("pressed")
    beyond = f" (the parent's best trials are at {labels.bounds_text(pressed, metric)})" if pressed else ""
    return f"{labels.space_text(stage.space, metric)}{beyond}"


def _symbols(point: Point, metric: Metric) -> list[str]:
    return [labels.symbol(name, metric) for name in point]


def _print_finalists(verdict: Verdict, metric: Metric) -> None:
    """Print each finalist's mean over the seeds with its interval, and how far it is behind the leader."""
    rows = [
        (
            f"{finalist.study.rpartition('/')[2]} {finalist.number}",
            *(["*" * verdict.is_tied(finalist)] if verdict.tied else []),
            *labels.quantities(finalist.point),
            metric.number(finalist.value),
            metric.spread(finalist.confirmed) if finalist.confirmed else "failed on a seed",
            metric.spread(finalist.behind, finalist.value) if finalist.behind else "",
            f"{finalist.probability_best:.0%}",
        )
        for finalist in verdict.finalists
    ]
    first = verdict.finalists[0]
    mark = [""] if verdict.tied else []
    headings = ("finalist", *mark, *_symbols(first.point, metric), "search", "mean", "behind", "best")
    print_rows(headings, rows)
    unit, seeds = "in %; " * metric.is_share, f"{len(first.values)} seeds, the same for each"
    tie = "; *: a tie, as the interval of behind includes 0" if verdict.tied else ""
    print_prose(f"{unit}±: 95 % interval over {seeds}; best: how often, if seeds are resampled{tie}")
    out.print()


def _print_winner(status: Status, winner: Winner) -> None:
    metric = status.metric
    heading = "Winner" if status.is_decided else "Best so far"
    found = f"{labels.point_text(winner.point, metric)}, {metric.name} {metric.text(winner.value)}"
    print_facts(Text.assemble((heading, "bold"), f": trial {winner.number} of {winner.study}, {found}"))
    if status.verdict is None:
        unlike = "; the test accuracy is not" if status.final else ""
        print_prose(f"The {metric.direction.best_word} of {winner.chosen_from} values is optimistic{unlike}.")
        return
    print_prose(status.verdict.summary)
    if (optimism := status.verdict.optimism) is not None:
        print_prose(f"The search's best value was optimistic by {metric.difference(optimism, winner.value)}.")


def print_final_runs(final: FinalRuns, metric: Metric) -> None:
    """Print the value of each training of the winner, and their mean."""
    epochs = counted(final.epochs, "epoch")
    mean = f": {metric.name} {metric.spread(final.mean)} over {final.mean.n} seeds" if final.mean else ""
    print_facts(Text(f"Final training of trial {final.number} of {final.study}, {epochs}{mean}"))
    metrics = final.metrics
    rows = [
        (f"{FINAL}#{run.number}", run.seed, "failed" if run.value is None else metric.text(run.value),
         *(VALUE.text(value) if (value := run.metrics.get(name)) is not None else "" for name in metrics))
        for run in final.runs
    ]  # fmt: skip
    print_rows(("trial", "seed", metric.name, *metrics), rows)
    for reason in final.reasons:
        print_prose(f"failed: {reason}")


def print_final(final: FinalResult) -> None:
    """Print the result of a final training."""
    validation = final.validation_accuracy
    parts = {"training": final.train_accuracy, "validation": validation, "test": final.test_accuracy}
    accuracies = ", ".join(f"{name} {ACCURACY.text(share)}" for name, share in parts.items() if share is not None)
    note = "; validation images were trained on" if validation is None else ""
    trained = f"Final training of trial {final.number} of {final.study}, {counted(final.epochs, 'epoch')}"
    print_facts(Text(f"{trained}: {accuracies}{note}"))
    if final.test is not None:
        ensemble = f"together, as an ensemble, {ACCURACY.text(final.ensemble_accuracy)}"
        print_facts(Text(f"Test accuracy over seeds {ACCURACY.spread(final.test)}; {ensemble}"))
    print_line(f"{final.reproduction.words} Folder: {final.folder}")


def print_retried(retried: Retried) -> None:
    """Print which trials wait again, and what stays as it is."""
    for stage in retried.stages:
        print_facts(Text(f"{stage.study}: {listed(stage.trials)} wait{'s' * (len(stage.trials) == 1)} again."))
        if stage.opened:
            print_prose(f"Opened before, and unchanged by their values: {', '.join(stage.opened)}.")
    if retried.earlier:
        print_prose(
            f"{counted(retried.earlier, 'failed trial')} of finalists stay{'s' * (retried.earlier == 1)} so: the "
            "winner among these is trained again."
        )
    if retried.diverged:
        print_prose(f"{counted(retried.diverged, 'trial')} diverged and stay{'s' * (retried.diverged == 1)} so.")
