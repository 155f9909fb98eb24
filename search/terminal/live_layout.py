"""The live view as lines of text that fit a terminal of any width and height. Pure functions."""

from optuna.trial import TrialState
from rich.text import Text

from coarsefine.search.campaign import labels
from coarsefine.search.storage.slots import FinishedTrial
from coarsefine.search.terminal.console import duration
from coarsefine.search.terminal.live_state import LiveState
from coarsefine.search.terminal.live_table import MOST_NAME_COLUMNS, stage_table
from coarsefine.search.terminal.plain_output import outcome

_GAP = 2
_MOST_FINISHED = 10
"""Lines of finished trials in a terminal of any height."""
_TRIAL_COLUMNS, _PARAMETER_COLUMNS = 40, 13
"""Width of a finished trial, and of each of its parameters; several stand side by side if they fit."""
_MARGIN = 4
"""Columns left free at the end of the last line, where terminals echo ^C."""


def draw(state: LiveState, width: int, height: int, now: float, *, stopping: bool) -> list[Text]:
    """Return lines, none wider than `width` and fewer than `height`, so that the terminal does not scroll."""
    room = max(height - 1, 1)
    header, foot = [_header(state, now)], [_foot(state, width, stopping=stopping)]
    table, facts = stage_table(state, width, now), _facts(state)
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
    ahead = [row.seconds for row in state.rows if row.mark != "done" and row.seconds is not None]
    if ahead:
        parts.append(f"about {duration(max(sum(ahead) - (now - state.updated), 0))} left")
    return Text.assemble(" ", (f"{state.campaign}  ", "bold"), " · ".join(parts))


def _facts(state: LiveState) -> list[Text]:
    best = Text(" best  ")
    if state.best is None:
        best.append("none yet", "dim")
    else:
        stage, trial = state.best
        best.append(outcome(trial, state.metric), "bold green")
        best.append(f"  {labels.point_columns(trial.point)}  trial {trial.number} of {stage}")
    return [best, Text(f" now   {state.training}"), Text(f" rate  {_rate(state.rate, state.epochs_per_trial)}")]


def _rate(rate: float | None, epochs_per_trial: float | None) -> str:
    if not rate:
        return "not known yet"
    epochs = f"{_rounded(60 * rate)} epochs/min"
    return epochs if epochs_per_trial is None else f"{_rounded(60 * rate / epochs_per_trial)} trials/min, {epochs}"


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
    entries = [_finished_trial(stage, trial, state) for stage, trial in state.finished[: most_lines * across]]
    if len(entries) <= most_lines:
        across = 1
    down = -(-len(entries) // across)
    lines = []
    for i in range(down):
        line = Text(" last  " if i == 0 else "       ")
        for entry in entries[i::down]:
            entry.truncate(columns - _GAP if across > 1 else width, overflow="ellipsis", pad=across > 1)
            line.append_text(entry)
        lines.append(line)
    return lines


def _finished_trial(stage: str, trial: FinishedTrial, state: LiveState) -> Text:
    is_best = state.best == (stage, trial)
    style = "bold green" if is_best else {TrialState.FAIL: "red", TrialState.PRUNED: "dim"}.get(trial.state, "")
    name = Text(stage)
    name.truncate(MOST_NAME_COLUMNS // 2, overflow="ellipsis", pad=True)
    result = outcome(trial, state.metric) + ("  best so far" if is_best else "")
    return Text.assemble(name, f" {trial.number:>4}  {labels.point_columns(trial.point)}  ", (result, style))
