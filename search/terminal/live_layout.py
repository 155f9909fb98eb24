"""The live view as lines of text that fit a terminal of any width and height. Pure functions."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from optuna.trial import TrialState
from rich.cells import cell_len
from rich.text import Text

from coarsefine.search.campaign import labels
from coarsefine.search.storage.slots import FinishedTrial
from coarsefine.search.terminal.console import duration
from coarsefine.search.terminal.live_state import LiveState, Row
from coarsefine.search.terminal.plain_output import outcome

_GAP = 2
_MOST_NAME_COLUMNS = 24
_MARKS = {"done": ("✓", "green"), "now": ("▶", "bold cyan"), "next": ("·", "dim")}
_NAME_STYLES = {"done": "", "now": "bold", "next": "dim"}
_LEAST_BAR, _MOST_BAR = 8, 40
_BAR = 4
"""Rank of the bar's column, the only one that grows."""
_FIRST_PARAMETER = 5
"""Rank of the column of the best trial's first parameter."""
_TRIAL_NUMBER = 100
"""Rank of the column of the best trial's number. Columns of higher ranks explain."""
_BAR_BEFORE_NOTES = 24
"""Explanatory columns are shown only if the bar can be this wide."""
_MOST_FINISHED = 10
"""The most lines of finished trials in a terminal of any height."""
_TRIAL_COLUMNS, _PARAMETER_COLUMNS = 40, 13
"""Width of a finished trial, and of each of its parameters; several stand side by side if they fit."""
_LEAST_RESULT = 20
"""Columns of a finished trial's result that its parameters leave free."""
_MARGIN = 4
"""Columns left free at the end of the last line, where terminals echo ^C."""


def draw(state: LiveState, width: int, height: int, now: float, *, stopping: bool) -> list[Text]:
    """Return lines, none wider than `width` and fewer than `height`, so that the terminal does not scroll."""
    room = max(height - 1, 1)
    header, foot = [_header(state, now)], [_foot(state, width, stopping=stopping)]
    table, facts = _stage_table(state, width, now), _facts(state, width)
    blocks = [header, table, facts, foot]
    spare = room - sum(map(len, blocks))
    if spare < 0:
        blocks = [header, _lines_around_active(table, state, room - 2), foot]
    elif spare > len(blocks):  # room for blank lines between blocks, and for a finished trial at least
        blocks.insert(3, _finished(state, width, min(spare - len(blocks), _MOST_FINISHED)))
    airy = sum(map(len, blocks)) + len(blocks) - 1 <= room
    lines = [line for block in blocks if block for line in (*block, *([Text()] if airy and block is not foot else ()))]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    lines[-1].truncate(max(width - _MARGIN, 1), overflow="ellipsis")
    return lines[:room]


def _header(state: LiveState, now: float) -> Text:
    parts = [f"{duration(now - state.started)} since the start"]
    if state.workers is not None:
        starting = not state.workers and not state.rate
        workers = f"{state.workers} worker{'s' * (state.workers != 1)}"
        parts.insert(0, "waiting for workers" if starting else workers)
    ahead = [row.seconds for row in state.rows if row.mark != "done"]
    left = sum(seconds for seconds in ahead if seconds is not None) - (now - state.updated)
    if left > 0:
        until = "to the final training" if ahead[-1] is None else "left"
        parts.append(f"about {duration(math.ceil(left))} {until}")
    return Text.assemble(" ", (f"{state.campaign}  ", "bold"), " · ".join(parts))


def _facts(state: LiveState, width: int) -> list[Text]:
    rate = _rate(state.rate, state.epochs_per_trial)
    return [*_best(state, width), Text(_label(state, "now") + state.training), Text(_label(state, "rate") + rate)]


def _label(state: LiveState, name: str) -> str:
    """Return the name of a fact, or blanks for none, as wide as those of all facts."""
    return f" {name:{len('winner' if state.best_is_winner else 'best')}}{' ' * _GAP}"


def _best(state: LiveState, width: int) -> list[Text]:
    """Return the best trial in one line or, if that is too wide, in several, none of which divides a parameter."""
    label = _label(state, "winner" if state.best_is_winner else "best")
    if state.best is None:
        return [Text.assemble(label, ("no trial has completed yet", "dim"))]
    stage, trial = state.best
    value, where = (outcome(trial, state.metric), "bold green"), f"trial {trial.number} of {stage}"
    whole = Text.assemble(label, value, f"  {labels.point_columns(trial.point, state.metric)}  {where}")
    if whole.cell_len <= width:
        return [whole]
    lines = [Text.assemble(label, value)]
    for part in (*(labels.point_text({name: one}, state.metric) for name, one in trial.point.items()), where):
        if lines[-1].cell_len + _GAP + cell_len(part) > width:
            lines.append(Text(" " * (len(label) - _GAP)))
        lines[-1].append(" " * _GAP + part)
    return lines


def _rate(rate: float | None, epochs_per_trial: float | None) -> str:
    if not rate:
        return "not known yet"
    epochs = f"{_rounded(60 * rate)} epochs/min"
    if epochs_per_trial is None:
        return epochs
    trials = f"{_rounded(60 * rate / epochs_per_trial)} trials/min"
    return trials if epochs_per_trial == 1 else f"{trials}, {epochs}"


def _rounded(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"  # noqa: PLR2004


def _foot(state: LiveState, width: int, *, stopping: bool) -> Text:
    if stopping:
        return Text(" Stopping after this epoch; Ctrl-C again stops at once.", "bold yellow")
    hint, advice = f" In the browser: {state.hint}", "   Ctrl-C stops; the same command resumes."
    return Text(hint + advice if len(hint + advice) <= width - _MARGIN else hint, "dim")


def _lines_around_active(table: list[Text], state: LiveState, room: int) -> list[Text]:
    """Return as many of the table's lines as there is room for, among them the line of what is in training."""
    active = next((i for i, row in enumerate(state.rows, 1) if row.mark == "now"), len(table) - 1)
    first = min(max(active - room // 2, 0), max(len(table) - room, 0))
    return table[first : first + max(room, 0)]


def _finished(state: LiveState, width: int, most_lines: int) -> list[Text]:
    """Return finished trials, the newest first; side by side if there is room."""
    columns = _TRIAL_COLUMNS + _PARAMETER_COLUMNS * len(state.parameters)
    across = max(width // columns, 1)
    shown = state.finished[: most_lines * across]
    if len(shown) <= most_lines:
        across = 1
    label, below = _label(state, "last"), _label(state, "")
    room = columns - _GAP if across > 1 else max(width - len(label), 0)
    entries = [_finished_trial(stage, trial, state, room) for stage, trial in shown]
    down = -(-len(entries) // across)
    lines = []
    for i in range(down):
        line = Text(below if i else label)
        for entry in entries[i::down]:
            entry.truncate(room, overflow="ellipsis", pad=across > 1)
            line.append_text(entry)
        lines.append(line)
    return lines


def _finished_trial(stage: str, trial: FinishedTrial, state: LiveState, room: int) -> Text:
    """Return a finished trial in a line; if there is no room for all, its parameters are cut before its result."""
    is_best = state.best == (stage, trial)
    style = "bold green" if is_best else {TrialState.FAIL: "red", TrialState.PRUNED: "dim"}.get(trial.state, "")
    name = Text(stage)
    name.truncate(_MOST_NAME_COLUMNS // 2, overflow="ellipsis", pad=True)
    remark = "winner" if state.best_is_winner else "best so far"
    result = outcome(trial, state.metric) + (f"  {remark}" if is_best else "")
    start, point = Text.assemble(name, f" {trial.number:>4}  "), Text(labels.point_columns(trial.point, state.metric))
    for_result = _GAP + min(cell_len(result), _LEAST_RESULT)
    if point.cell_len > (limit := max(room - start.cell_len - for_result, 0)):
        point.rstrip()  # columns end in blanks, which need no ellipsis
        point.truncate(limit, overflow="ellipsis", pad=True)
    return Text.assemble(start, point, " " * _GAP, (result, style))


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    rank: int
    """Columns of lower ranks are kept if there is no room for all."""
    cell: Callable[[Row], Text]
    least: int = 0
    """Width while the column is empty, so that nothing jumps when it fills."""
    align: Literal["left", "right"] = "left"


def _stage_table(state: LiveState, width: int, now: float) -> list[Text]:
    """Return a line of headings and a line for each row of `state`, none wider than `width`."""

    def value(row: Row) -> Text:
        return Text("" if row.value is None else state.metric.text(row.value), "green")

    def of_best(text: Callable[[FinishedTrial], str]) -> Callable[[Row], Text]:
        return lambda row: Text(text(row.best) if row.best else "")

    def of_parameter(rank: int, name: str) -> _Column:
        heading = labels.symbol(name, state.metric)
        return _Column(heading, rank, of_best(lambda best: labels.quantity(name, best.point[name])), 5)

    columns = [
        _Column("", 0, _name),
        _Column("", 1, _count, align="right"),
        _Column("", _BAR, lambda row: _bar(row, _LEAST_BAR)),
        _Column("best", 2, value, 8, align="right"),
        *(of_parameter(rank, name) for rank, name in enumerate(state.parameters, _FIRST_PARAMETER)),
        _Column("trial", _TRIAL_NUMBER, of_best(lambda best: str(best.number)), 5, align="right"),
        _Column("ranges", _TRIAL_NUMBER + 1, lambda row: Text(row.ranges, "dim")),
        _Column("", _TRIAL_NUMBER + 2, lambda row: Text(row.notes, "dim")),
        _Column("", 3, lambda row: _time(row, now - state.updated), 9, align="right"),
    ]
    return _lay_out(columns, state.rows, width)


def _name(row: Row) -> Text:
    name = Text(row.name, _NAME_STYLES[row.mark])
    name.truncate(_MOST_NAME_COLUMNS, overflow="ellipsis")
    mark = ("!", row.trouble) if row.mark == "done" and row.trouble is not None else _MARKS[row.mark]
    return Text.assemble(" ", mark, " ", name)


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
    left = row.seconds - since_update
    return Text(f"{duration(math.ceil(left))} left" if left > 0 else "")


def _bar(row: Row, width: int) -> Text:
    halves = int(2 * width * min(max(row.share, 0.0), 1.0))
    full = "━" * (halves // 2) + "╸" * (halves % 2)
    return Text.assemble(
        (full, (row.trouble or "green") if row.mark == "done" else "cyan"), ("─" * (width - len(full)), "dim")
    )


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
        for_bar = _BAR_BEFORE_NOTES - _LEAST_BAR if rank > _TRIAL_NUMBER else 0
        if shown and widths[rank] + _GAP + for_bar > width:
            break
        width -= widths[rank] + _GAP * bool(shown)
        shown.append(rank)
    return shown, width
