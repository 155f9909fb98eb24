"""The streams of a terminal: data on stdout, messages on stderr. Colours are for terminals; NO_COLOR is honoured."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import IO, Any, cast

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text


class _Messages:
    """Standard error as it is at the moment. What it cannot take any more is lost: its terminal or pipe was closed."""

    def write(self, text: str) -> int:
        """Write a text."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what was written."""
        with suppress(OSError, ValueError):
            self._stream.flush()

    @property
    def _stream(self) -> Any:
        return getattr(sys.stderr, "rich_proxied_file", sys.stderr)  # a live view takes the place of stderr

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Output(Console):
    """A console for standard output, whose reader may end before the output does, as in `coarsefine best | head`."""

    def on_broken_pipe(self) -> None:
        """Raise the error, which ends the command; Rich would end it with exit code 1."""
        self._buffer.clear()
        raise BrokenPipeError


_PLAIN: dict[str, Any] = {"highlight": False, "soft_wrap": True, "markup": False, "emoji": False}
"""Texts of users are printed as they are: `[relu]` is no markup, and `:fire:` no picture."""
out = _Output(**_PLAIN)
"""The stream for data."""
err = Console(file=cast(IO[str], _Messages()), **_PLAIN)
"""The stream for messages."""
Column = tuple[str, ...]
"""A column of a table, its heading first."""
_GAP = 2
_PROSE_COLUMNS = 80


def print_line(text: str, style: str | None = None) -> None:
    """Print a line of data on stdout."""
    out.print(text, style=style)


def print_message(text: str) -> None:
    """Print a message on stderr."""
    err.print(text)


def print_facts(text: Text) -> None:
    """Print a line of data on stdout: whole, for programs to read, but wrapped at words on a terminal."""
    _print_wrapped(text, out.width if out.is_terminal else None, indents=("", "  "))


def print_prose(sentences: str) -> None:
    """Print sentences for people on stdout, indented, and wrapped at words: at 80 columns if stdout is no terminal."""
    _print_wrapped(Text(sentences), out.width if out.is_terminal else _PROSE_COLUMNS, indents=("  ", "  "))


def _print_wrapped(text: Text, columns: int | None, indents: tuple[str, str]) -> None:
    first, others = indents
    lines = [text] if columns is None else text.wrap(out, max(columns - len(others), 1))
    for index, line in enumerate(lines):
        line.rstrip()
        out.print(Text.assemble(others if index else first, line))


def print_rows(headings: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print rows of text below headings. No cell is folded or cut.

    A table that is too wide for a terminal becomes several, one below the other, each with the first column. Elsewhere
    a row is always one line.
    """
    columns = list(zip(headings, *(map(str, row) for row in rows), strict=True))
    for place, part in enumerate(_parts(columns, out.width if out.is_terminal else None)):
        widths = [max(map(cell_len, column)) for column in part]
        heading, *cells = ("".join(map(_padded, row, widths)).rstrip() for row in zip(*part, strict=True))
        rule = "─" * (sum(widths) + _GAP * (len(widths) - 1))
        for line in (*([""] if place else []), Text(heading, style="bold"), rule, *cells):
            out.print(line)


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - cell_len(cell) + _GAP)


def _parts(columns: Sequence[Column], width: int | None) -> list[list[Column]]:
    """Return the columns in parts that are at most as wide as `width`, if they can be; each has the first column."""
    key, *others = columns
    parts = [[key]]
    for column in others:
        needed = sum(max(map(cell_len, each)) + _GAP for each in (*parts[-1], column)) - _GAP
        if width is not None and needed > width and len(parts[-1]) > 1:
            parts.append([key])
        parts[-1].append(column)
    return parts


def duration(seconds: float) -> str:
    """Return a time in hours, minutes and seconds: `0:41`, `1:02:10`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"  # noqa: PLR2004
