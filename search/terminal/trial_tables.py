"""All trials of a campaign, or all their epochs, as a table on stdout."""

from collections.abc import Iterator, Sequence

from coarsefine.search.campaign import labels
from coarsefine.search.campaign.metric import VALUE
from coarsefine.search.results.trial_table import TrialRow, TrialTable
from coarsefine.search.terminal.console import print_rows

_ENDS = {"COMPLETE": "completed", "FAIL": "failed"}


def print_trials(table: TrialTable) -> None:
    """Print a row for each trial."""
    metrics = table.metrics
    headings = (
        "trial",
        *(labels.symbol(name, table.metric) for name in table.searched),
        table.metric.name,
        *metrics,
        "epochs",
        "seed",
        "time",
    )
    rows = (_trial_cells(stage, row, table, metrics) for stage, row in table.rows())
    print_rows((*headings, "state"), rows)


def print_epochs(table: TrialTable) -> None:
    """Print a row for each epoch of each trial."""
    _, rows = table.flat(epochs=True)
    cells = (
        (
            f"{stage}#{number}",
            epoch,
            table.metric.text_or_nothing(value),
            *(VALUE.text_or_nothing(metric) for metric in metrics),
        )
        for stage, number, epoch, value, *metrics in rows
    )
    print_rows(("trial", "epoch", table.metric.name, *table.metrics), cells)


def _trial_cells(stage: str, row: TrialRow, table: TrialTable, metrics: Sequence[str]) -> Iterator[object]:
    point = row.point.as_dict()
    yield f"{stage}#{row.number}"
    yield from (labels.quantity(name, point[name]) if name in point else "" for name in table.searched)
    yield table.metric.text_or_nothing(row.last if row.value is None else row.value)
    yield from (VALUE.text_or_nothing(row.metrics.get(name)) for name in metrics)
    yield row.epochs
    yield row.seed
    yield "" if row.seconds is None else f"{row.seconds:.1f} s"
    state = _ENDS.get(row.state, row.state.lower())
    yield f"{state}: {row.reason}" if row.reason else state
