"""The streams of a terminal: data on stdout, messages on stderr. Colours are for terminals; NO_COLOR is honoured."""

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from coarsefine.search.campaign.metric import ACCURACY

out = Console(highlight=False, soft_wrap=True)
"""Data."""
err = Console(stderr=True, highlight=False, soft_wrap=True)
"""Messages."""
_MOST_COLUMNS = 1000


def print_line(text: str) -> None:
    """Print a line of data on stdout; brackets in it are no markup."""
    out.print(text, markup=False)


def print_message(text: str) -> None:
    """Print a message on stderr; brackets in it are no markup."""
    err.print(text, markup=False)


def print_rows(headings: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print rows of plain text below headings."""
    table = Table(*headings, box=box.SIMPLE, show_edge=False)
    for row in rows:
        table.add_row(*map(str, row))
    print_table(table)


def print_table(table: Table) -> None:
    """Print a table at its full width: folded cells cannot be read down a column, nor searched by `grep`."""
    options = out.options.update(max_width=_MOST_COLUMNS)
    out.print(table, width=max(out.width, Measurement.get(out, options, table).maximum))


def percent(share: float) -> str:
    """Return a fraction in percent: `98.73 %`."""
    return ACCURACY.text(share)


def duration(seconds: float) -> str:
    """Return a time in hours, minutes and seconds: `0:41`, `1:02:10`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"  # noqa: PLR2004
