"""What people read: tables on stdout, talk on stderr. Colours are for terminals; NO_COLOR holds."""

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from search.doctor import Finding
from search.status import StageStatus, Status, Trial
from search.winner import Estimate, Verdict

out = Console(highlight=False, soft_wrap=True)
"""Data."""
err = Console(stderr=True, highlight=False, soft_wrap=True)
"""Talk."""


def percent(share: float) -> str:
    """Return a fraction as people read it."""
    return f"{100 * share:.2f} %"


def duration(seconds: float) -> str:
    """Return a time as people read it: `0:41`, `1:02:10`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"  # noqa: PLR2004


def ranges(stage: StageStatus) -> str:
    """Return a stage's ranges, and which bounds winners pressed against."""
    if stage.space is None:
        return "ranges not known before its parent ends"
    eta, lam = stage.space.eta, stage.space.lam
    pressed = stage.attrs.get("pressed")
    beyond = f" (the parent's best press against {', '.join(pressed)})" if pressed else ""
    return f"η {eta.low:.4g} to {eta.high:.4g}, λ {lam.low:.3g} to {lam.high:.3g}{beyond}"


def counts(stage: StageStatus) -> str:
    """Return how many trials of a stage ended, and how."""
    kinds = ("completed", "pruned", "diverged", "failed", "running", "waiting")
    told = [f"{getattr(stage, kind)} {kind}" for kind in kinds if getattr(stage, kind)]
    return f"{', '.join(told)} of {stage.trials} trials"


def print_status(status: Status) -> None:
    """Print stages with their best trials, the winner and the final training."""
    for stage in status.stages:
        print_stage(stage)
    if status.verdict:
        print_finalists(status.verdict)
    print_winner(status)
    if status.final:
        final = status.final
        out.print(f"Final training, {final.epochs} epochs: training {percent(final.train_accuracy)}, "
                  f"validation {percent(final.validation_accuracy)}, test {percent(final.test_accuracy)}")  # fmt: skip
        same = "repeated the search's values to the bit" if final.repeated else "did NOT repeat the search's values"
        out.print(f"Its first epochs {same}. Weights: {final.weights}", markup=False)
    out.print(f"Studies: {status.storage} ({status.state}, {status.seconds:.1f} s from first to last)", markup=False)


def print_stage(stage: StageStatus) -> None:
    """Print one stage's ranges and its best trials."""
    out.print(f"[bold]{stage.study}[/bold]: {counts(stage)}; {ranges(stage)}")
    if stage.best:
        _print_trials(stage.best)
    out.print()


def print_winner(status: Status) -> None:
    """Print the winner and what its value is worth."""
    if status.winner is None:
        return
    trial = status.winner.trial
    out.print(f"[bold]Winner[/bold]: trial {trial.number} of {status.winner.study}, η = {trial.eta:.5g}, "
              f"λ = {trial.lam:.4g}, validation {percent(trial.value)}")  # fmt: skip
    if status.verdict is None:
        out.print(
            f"  the highest of {status.winner.chosen_from} values, hence an optimistic one; the test accuracy is not"
        )
        return
    out.print(f"  {status.verdict.words}")
    if (optimism := status.verdict.optimism) is not None:
        out.print(f"  the search's best value was optimistic by {100 * optimism:.2f} points")


def print_finalists(verdict: Verdict) -> None:
    """Print each finalist's mean over the seeds, with its interval, and how far it is behind the leader."""
    names = ("finalist", "η", "λ", "search", "mean", "behind", "best")
    table = Table(*names, box=box.SIMPLE, show_edge=False, padding=(0, 1, 0, 0))
    for finalist in verdict.finalists:
        found, point = finalist.candidate, finalist.candidate.point
        name = f"{found.study.rpartition('/')[2]} {found.number}"
        mean = _interval(finalist.confirmed) if finalist.confirmed else "failed on a seed"
        behind = _interval(finalist.behind) if finalist.behind else ""
        searched, best = f"{100 * found.value:.2f}", f"{finalist.probability:.0%}"
        table.add_row(name, f"{point.eta:.5f}", f"{point.lam:.2e}", searched, mean, behind, best)
    out.print(table)
    seeds = len(verdict.finalists[0].values)
    out.print(f"  in %; ±: 95 % interval over {seeds} seeds, the same for each; best: how often, seeds drawn anew")
    out.print()


def _interval(estimate: Estimate) -> str:
    return f"{100 * estimate.mean:.2f} ± {100 * (estimate.high - estimate.mean):.2f}"


def _print_trials(trials: Iterable[Trial]) -> None:
    table = Table("trial", "η", "λ", "validation", "seed", box=box.SIMPLE, show_edge=False)
    for trial in trials:
        table.add_row(str(trial.number), f"{trial.eta:.5f}", f"{trial.lam:.3e}", percent(trial.value), str(trial.seed))
    out.print(table)


def print_table(headings: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print rows of plain text under headings."""
    table = Table(*headings, box=box.SIMPLE, show_edge=False)
    for row in rows:
        table.add_row(*map(str, row))
    out.print(table)


def print_findings(findings: list[Finding]) -> None:
    """Print what the doctor found."""
    marks = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "unfit": "[red]unfit[/red]"}
    for finding in findings:
        out.print(f"{marks[finding.verdict]}  {finding.check}: ", end="")
        out.print(finding.found, markup=False)
