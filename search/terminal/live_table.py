"""The live view's table: a line for each stage, with as many columns as fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from coarsefine.search.campaign import labels
from coarsefine.search.storage.slots import FinishedTrial
from coarsefine.search.terminal.console import duration
from coarsefine.search.terminal.live_state import LiveState, Row

MOST_NAME_COLUMNS = 24
_MARKS = {"done": ("✓", "green"), "now": ("▶", "bold cyan"), "next": ("·", "dim")}
_NAME_STYLES = {"done": "", "now": "bold", "next": "dim"}
_GAP = 2
_LEAST_BAR, _MOST_BAR = 8, 40
_BAR, _FIRST_PARAMETER, _LAST_FIGURE = 4, 5, 100
"""Ranks of the bar's column, which alone grows, and of the first and last column about the best trial."""
_BAR_BEFORE_NOTES = 24
"""Width of the bar from which on columns with explanations are shown."""


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    rank: int
    """Columns of lower ranks are kept if there is no room for all."""
    cell: Callable[[Row], Text]
    least: int = 0
    """Width while the column is empty, so that nothing jumps when it fills."""
    align: Literal["left", "right"] = "left"


def stage_table(state: LiveState, width: int, now: float) -> list[Text]:
    """Return a line of headings and a line for each row of `state`, none wider than `width`."""

    def value(row: Row) -> Text:
        return Text("" if row.value is None else state.metric.text(row.value), "green")

    def of_best(text: Callable[[FinishedTrial], str]) -> Callable[[Row], Text]:
        return lambda row: Text(text(row.best) if row.best else "")

    def of_parameter(rank: int, name: str) -> _Column:
        return _Column(labels.symbol(name), rank, of_best(lambda best: labels.quantity(name, best.point[name])), 5)

    columns = [
        _Column("", 0, _name),
        _Column("", 1, _count, align="right"),
        _Column("", _BAR, lambda row: _bar(row, _LEAST_BAR)),
        _Column("best", 2, value, 8, align="right"),
        *(of_parameter(rank, name) for rank, name in enumerate(state.parameters, _FIRST_PARAMETER)),
        _Column("trial", _LAST_FIGURE, of_best(lambda best: str(best.number)), 5, align="right"),
        _Column("ranges", _LAST_FIGURE + 1, lambda row: Text(row.ranges, "dim")),
        _Column("", _LAST_FIGURE + 2, lambda row: Text(row.notes, "dim")),
        _Column("", 3, lambda row: _time(row, now - state.updated), 9, align="right"),
    ]
    return _lay_out(columns, state.rows, width)


def _name(row: Row) -> Text:
    name = Text(row.name, _NAME_STYLES[row.mark])
    name.truncate(MOST_NAME_COLUMNS, overflow="ellipsis")
    return Text.assemble(" ", _MARKS[row.mark], " ", name)


def _count(row: Row) -> Text:
    total = str(row.total)
    return Text(f"{row.done:>{len(total)}}/{total}", "dim" if row.mark == "next" else "")


def _time(row: Row, since_update: float) -> Text:
    if row.seconds is None:
        return Text()
    if row.mark == "done":
        return Text(duration(row.seconds), "dim")
    if row.mark == "next":
        return Text(f"≈ {duration(row.seconds)}", "dim")
    return Text(f"{duration(max(row.seconds - since_update, 0))} left")


def _bar(row: Row, width: int) -> Text:
    halves = int(2 * width * min(max(row.share, 0.0), 1.0))
    full = "━" * (halves // 2) + "╸" * (halves % 2)
    return Text.assemble((full, "green" if row.mark == "done" else "cyan"), ("─" * (width - len(full)), "dim"))


def _lay_out(columns: Sequence[_Column], rows: Sequence[Row], width: int) -> list[Text]:
    cells = {column.rank: [Text(column.heading, "dim"), *map(column.cell, rows)] for column in columns}
    widths = {c.rank: max(c.least, *(cell.cell_len for cell in cells[c.rank])) for c in columns}
    shown, spare = _choose_columns(widths, width)
    if _BAR in shown:
        widths[_BAR] = min(_LEAST_BAR + spare, _MOST_BAR)
        cells[_BAR] = [Text(), *(_bar(row, widths[_BAR]) for row in rows)]
    chosen = [column for column in columns if column.rank in shown]
    for column in chosen:
        for cell in cells[column.rank]:
            cell.align(column.align, widths[column.rank])
    gap = Text(" " * _GAP, no_wrap=True)
    lines = [gap.join(line) for line in zip(*(cells[column.rank] for column in chosen), strict=True)]
    for line in lines:
        line.rstrip()
    return lines


def _choose_columns(widths: dict[int, int], width: int) -> tuple[list[int], int]:
    """Return the ranks of the columns that fit, and the width that is left over."""
    shown: list[int] = []
    for rank in sorted(rank for rank in widths if widths[rank]):
        for_bar = _BAR_BEFORE_NOTES - _LEAST_BAR if rank > _LAST_FIGURE else 0
        if shown and widths[rank] + _GAP + for_bar > width:
            break
        width -= widths[rank] + _GAP * bool(shown)
        shown.append(rank)
    return shown, width
