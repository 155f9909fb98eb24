"""The campaigns of a storage as a table on stdout."""

from collections.abc import Sequence

from coarsefine.search.results.status import Status
from coarsefine.search.terminal.console import print_line, print_rows

_HEADINGS = ("campaign", "state", "trials", "failed", "best", "stages")


def print_campaigns(campaigns: Sequence[Status]) -> None:
    """Print a row for each campaign: its state, its finished and failed trials, and its best value."""
    if not campaigns:
        print_line("No campaign can be shown.")
        return
    print_rows(_HEADINGS, map(_cells, campaigns))


def _cells(status: Status) -> tuple[object, ...]:
    trials = sum(stage.trials for stage in status.stages)
    finished = trials - sum(stage.waiting + stage.running for stage in status.stages)
    metric, winner = status.metric, status.winner
    best = "" if winner is None else f"{metric.name} {metric.text(winner.value)}"
    stages = " → ".join(stage.name for stage in status.stages)
    return status.campaign, status.state, f"{finished}/{trials}", status.failed, best, stages
