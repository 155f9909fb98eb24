"""The live view as lines of text: what a campaign looks like at one moment, in any width and height. Pure functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optuna.trial import TrialState
from rich.text import Text

from coarsefine.search.campaign import labels
from coarsefine.search.storage.slots import FinishedTrial
from coarsefine.search.terminal.live_state import Row, Scene
from coarsefine.search.terminal.plain_output import how
from coarsefine.search.terminal.status_tables import duration

_MARKS = {"done": ("✓", "green"), "now": ("▶", "bold cyan"), "next": ("·", "dim")}
_GAP = 2
_LEAST_BAR, _MOST_BAR = 8, 40
_BAR, _FIRST_VALUE, _LAST_FIGURE = 4, 5, 100
"""Ranks of the bar's column, the only one that grows, and of the first and last that tell of the best trial."""
_GOOD_BAR = 24
"""Columns that explain come after a bar of this width."""
_MOST_NAME = 24
_MOST_LAST = 10
"""Lines of finished trials, however tall the terminal."""
_LAST_WIDTH, _VALUE_WIDTH = 40, 13
"""Of one finished trial, and of each of its parameters; where several fit side by side, they do."""
_MARGIN = 4
"""Columns left free at the end of the last line, where terminals echo ^C."""


def draw(scene: Scene, width: int, height: int, now: float, *, stopping: bool) -> list[Text]:
    """Return lines that fit: none wider than `width`, and fewer than `height`, so that nothing scrolls."""
    room = max(height - 1, 1)
    header, foot = [_header(scene, now)], [_foot(scene, width, stopping=stopping)]
    table = _table(scene, width, now)
    facts = _facts(scene)
    blocks = [header, table, facts, foot]
    spare = room - sum(map(len, blocks))
    if spare < 0:
        blocks = [header, _around_now(table, scene, room - 2), foot]
    elif spare > len(blocks):  # a blank line between them, and at least one finished trial
        blocks.insert(3, _last(scene, width, min(spare - len(blocks), _MOST_LAST)))
    airy = sum(map(len, blocks)) + len(blocks) - 1 <= room
    lines = [line for block in blocks if block for line in (*block, *([Text()] if airy and block is not foot else ()))]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    lines[-1].truncate(max(width - _MARGIN, 1), overflow="ellipsis")
    return lines[:room]


def _header(scene: Scene, now: float) -> Text:
    told = [("  ".join((scene.campaign, "")), "bold")]
    if scene.workers is not None:
        starting = not scene.workers and not scene.rate
        told.append(
            ("waiting for workers · " if starting else f"{scene.workers} worker{'s' * (scene.workers != 1)} · ", "")
        )
    told.append((f"{duration(now - scene.began)} since the start", ""))
    ahead = [row.seconds for row in scene.rows if row.mark != "done" and row.seconds is not None]
    if ahead:
        told.append((f" · about {duration(_left(sum(ahead), scene, now))} left", ""))
    return Text.assemble(" ", *told)


def _left(seconds: float, scene: Scene, now: float) -> float:
    return max(seconds - (now - scene.at), 0)


def _facts(scene: Scene) -> list[Text]:
    best = Text(" best  ")
    if scene.best is None:
        best.append("none yet", "dim")
    else:
        stage, ending = scene.best
        best.append(how(ending, scene.metric), "bold green")
        best.append(f"  {labels.point_columns(ending.point)}  trial {ending.number} of {stage}")
    return [best, Text(f" now   {scene.running}"), Text(f" rate  {_pace(scene.rate, scene.epochs_per_trial)}")]


def _pace(rate: float | None, epochs_per_trial: float | None) -> str:
    if not rate:
        return "not known yet"
    epochs = f"{_short(60 * rate)} epochs/min"
    return epochs if epochs_per_trial is None else f"{_short(60 * rate / epochs_per_trial)} trials/min, {epochs}"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"  # noqa: PLR2004


def _foot(scene: Scene, width: int, *, stopping: bool) -> Text:
    if stopping:
        return Text(" Stopping after this epoch; Ctrl-C again stops at once.", "bold yellow")
    told = f" In the browser: {scene.hint}"
    advice = "   Ctrl-C stops, the same command goes on."
    return Text(told + advice if len(told + advice) <= width - _MARGIN else told, "dim")


def _around_now(table: list[Text], scene: Scene, room: int) -> list[Text]:
    """Return as many of the table's lines as there is room for, that of what is in training among them."""
    now = next((i for i, row in enumerate(scene.rows, 1) if row.mark == "now"), len(table) - 1)
    first = min(max(now - room // 2, 0), max(len(table) - room, 0))
    return table[first : first + max(room, 0)]


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    rank: int
    """Columns of lower ranks come first where there is no room for all."""
    cell: Callable[[Row], Text]
    least: int = 0
    """Columns it takes even while it is empty, so that nothing jumps when it fills."""
    right: bool = False


def _table(scene: Scene, width: int, now: float) -> list[Text]:
    def time(row: Row) -> Text:
        if row.seconds is None:
            return Text()
        if row.mark == "done":
            return Text(duration(row.seconds), "dim")
        if row.mark == "next":
            return Text(f"≈ {duration(row.seconds)}", "dim")
        return Text(f"{duration(_left(row.seconds, scene, now))} left")

    def value(row: Row) -> Text:
        return Text("" if row.value is None else scene.metric.text(row.value), "green")

    def of_best(told: Callable[[FinishedTrial], str]) -> Callable[[Row], Text]:
        return lambda row: Text(told(row.best) if row.best else "")

    def of_parameter(rank: int, name: str) -> _Column:
        return _Column(labels.symbol(name), rank, of_best(lambda best: labels.quantity(name, best.point[name])), 5)

    columns = [
        _Column("", 0, _name),
        _Column("", 1, _count, right=True),
        _Column("", _BAR, lambda row: _bar(row, _LEAST_BAR)),
        _Column("best", 2, value, 8, right=True),
        *(of_parameter(place, name) for place, name in enumerate(scene.searched, _FIRST_VALUE)),
        _Column("trial", _LAST_FIGURE, of_best(lambda best: str(best.number)), 5, right=True),
        _Column("ranges", _LAST_FIGURE + 1, lambda row: Text(row.ranges, "dim")),
        _Column("", _LAST_FIGURE + 2, lambda row: Text(row.notes, "dim")),
        _Column("", 3, time, 9, right=True),
    ]
    return _laid_out(columns, scene.rows, width)


def _name(row: Row) -> Text:
    mark, style = _MARKS[row.mark]
    name = Text(row.name, {"done": "", "now": "bold", "next": "dim"}[row.mark])
    name.truncate(_MOST_NAME, overflow="ellipsis")
    return Text.assemble(" ", (mark, style), " ", name)


def _count(row: Row) -> Text:
    total = str(row.total)
    return Text(f"{row.done:>{len(total)}}/{total}", "dim" if row.mark == "next" else "")


def _laid_out(columns: Sequence[_Column], rows: Sequence[Row], width: int) -> list[Text]:
    cells = {column.rank: [Text(column.heading, "dim"), *map(column.cell, rows)] for column in columns}
    widths = {c.rank: max(c.least, *(cell.cell_len for cell in cells[c.rank])) for c in columns}
    room = width
    shown: list[int] = []
    for rank in sorted(widths):
        if not widths[rank]:
            continue
        spare = _GOOD_BAR - _LEAST_BAR if rank > _LAST_FIGURE else 0
        if shown and widths[rank] + _GAP + spare > room:
            break
        room -= widths[rank] + _GAP * bool(shown)
        shown.append(rank)
    if _BAR in shown:
        widths[_BAR] = min(_LEAST_BAR + room, _MOST_BAR)
        cells[_BAR] = [Text(), *(_bar(row, widths[_BAR]) for row in rows)]
    chosen = [column for column in columns if column.rank in shown]
    return [_joined([(cells[c.rank][i], widths[c.rank], c.right) for c in chosen]) for i in range(len(rows) + 1)]


def _joined(cells: Sequence[tuple[Text, int, bool]]) -> Text:
    line = Text(no_wrap=True)
    for cell, width, right in cells:
        if line:
            line.append(" " * _GAP)
        padding = " " * (width - cell.cell_len)
        line.append_text(Text.assemble(padding, cell) if right else Text.assemble(cell, padding))
    line.rstrip()
    return line


def _bar(row: Row, width: int) -> Text:
    halves = int(2 * width * min(max(row.share, 0.0), 1.0))
    full = "━" * (halves // 2) + "╸" * (halves % 2)
    return Text.assemble((full, "green" if row.mark == "done" else "cyan"), ("─" * (width - len(full)), "dim"))


def _last(scene: Scene, width: int, most: int) -> list[Text]:
    """Return finished trials, the newest first; side by side where there is room."""
    wide = _LAST_WIDTH + _VALUE_WIDTH * len(scene.searched)
    across = max(width // wide, 1)
    entries = [_entry(stage, ending, scene) for stage, ending in scene.last[: most * across]]
    if len(entries) <= most:
        across = 1
    down = -(-len(entries) // across)
    lines = []
    for i in range(down):
        line = Text(" last  " if i == 0 else "       ")
        for entry in entries[i::down]:
            entry.truncate(wide - _GAP if across > 1 else width, overflow="ellipsis", pad=across > 1)
            line.append_text(entry)
        lines.append(line)
    return lines


def _entry(stage: str, ending: FinishedTrial, scene: Scene) -> Text:
    is_best = scene.best == (stage, ending)
    style = "bold green" if is_best else {TrialState.FAIL: "red", TrialState.PRUNED: "dim"}.get(ending.state, "")
    shown = Text(stage)
    shown.truncate(_MOST_NAME // 2, overflow="ellipsis", pad=True)
    told = how(ending, scene.metric) + ("  best so far" if is_best else "")
    return Text.assemble(shown, f" {ending.number:>4}  {labels.point_columns(ending.point)}  ", (told, style))
