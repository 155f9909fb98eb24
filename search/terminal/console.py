"""The streams of a terminal: data on stdout, messages on stderr. Colours are for terminals; NO_COLOR is honoured."""

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

out = Console(highlight=False, soft_wrap=True)
"""The stream for data."""
err = Console(stderr=True, highlight=False, soft_wrap=True)
"""The stream for messages."""


def print_line(text: str) -> None:
    """Print a line of data on stdout; brackets in it are not markup."""
    out.print(text, markup=False)


def print_message(text: str) -> None:
    """Print a message on stderr; brackets in it are not markup."""
    err.print(text, markup=False)


def print_rows(headings: Iterable[str], rows: Iterable[Iterable[Any]], *, left_padding: int = 1) -> None:
    """Print rows of text below headings, at their full width.

    Folded cells could not be read down a column, nor searched by `grep`.
    """
    table = Table(*headings, box=box.SIMPLE, show_edge=False, padding=(0, 1, 0, left_padding))
    for row in rows:
        table.add_row(*map(str, row))
    options = out.options.update(max_width=1000)
    out.print(table, width=max(out.width, Measurement.get(out, options, table).maximum))


def duration(seconds: float) -> str:
    """Return a time in hours, minutes and seconds: `0:41`, `1:02:10`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"  # noqa: PLR2004
