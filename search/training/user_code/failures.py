"""What user code raises and returns, as text: describing it never fails, and gives one printable line."""

import os
import reprlib
import sysconfig
import textwrap
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_OURS = ("<frozen", f"{Path(__file__).parents[3]}{os.sep}")
"""How the file names of Python's own import system and of Coarsefine start."""
_LIBRARIES = tuple(f"{sysconfig.get_path(kind)}{os.sep}" for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
"""How the file names of installed packages start."""
_MOST_MESSAGE, _MOST_DETAIL = 300, 20_000
"""The most characters of a message and of a traceback that are kept."""


@dataclass(frozen=True, slots=True)
class Description:
    """An exception in words."""

    reason: str
    """Its type, its message, and the line of the user's code in which it was raised, in one line."""
    cause: str
    """Its type and that line: equal for exceptions with the same cause, whatever numbers their messages hold."""
    detail: str
    """Its traceback."""


def description_of(error: BaseException, point: Mapping[str, Any] | None = None) -> Description:
    """Return an exception in words, even one that cannot be printed.

    `point` is what the function was called with: a missing key may be one that it should have.
    """
    name, place, message = _type_name(error), _place(error), message_of(error)
    shown_place = f" ({place})" if place else ""
    hint = f"; the point has {', '.join(point)}" if point and _lacks_key(error, point) else ""
    reason = f"{name}{message and ': '}{message}{shown_place}{hint}"
    return Description(reason, f"{name} {place}".rstrip(), _traceback(error))


def describe(error: BaseException) -> str:
    """Return an exception raised by user code in one line: its type, its message, and where it was raised."""
    return description_of(error).reason


def shown(value: Any) -> str:
    """Return a value's `repr`, shortened, in one line; say so if it raises."""
    try:
        return printable(reprlib.repr(value))
    except BaseException as error:  # noqa: BLE001 - whatever `__repr__` raises
        return f"<{_type_name(value)} whose repr raises {_type_name(error)}>"


def printable(text: str, most: int = _MOST_MESSAGE) -> str:
    """Return text as one line that every database and terminal takes."""
    start = text[: 10 * most].encode("utf-8", "replace").decode("utf-8", "replace")
    line = "".join(letter if letter.isprintable() else " " for letter in start)
    short = textwrap.shorten(line, most, placeholder=" …")
    return short if short != "…" else f"{line.strip()[: most - 2]} …"


def _type_name(value: Any) -> str:
    try:
        return str(type(value).__name__)
    except BaseException:  # noqa: BLE001 - a metaclass may raise whatever it likes
        return "object"


def message_of(error: BaseException) -> str:
    """Return an exception's message as one line."""
    try:
        return printable(str(error.msg if isinstance(error, SyntaxError) else error))
    except BaseException as raised:  # noqa: BLE001 - whatever `__str__` raises
        return f"its message cannot be printed, {_type_name(raised)}"


def _place(error: BaseException) -> str:
    """Return the file and line of the user's code in which an exception was raised; of a library, without any."""
    if isinstance(error, SyntaxError):
        return f"{Path(str(error.filename or '?')).name}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_OURS)]
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)] or frames
    return f"{Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""


def _lacks_key(error: BaseException, point: Mapping[str, Any]) -> bool:
    """Return whether an exception comes from a subscript of the point with a text.

    Where it was raised, a local is the point, or the list of the points of a batch. Other dicts raise `KeyError`, too:
    the line has the name of the local with a bracket.
    """
    key = next(iter(error.args), None) if type(error) is KeyError else None
    if not isinstance(key, str) or key in point or error.__traceback__ is None:
        return False
    frame, _ = [*traceback.walk_tb(error.__traceback__)][-1]
    line = traceback.extract_tb(error.__traceback__)[-1].line or ""
    firsts = {name: value[0] if type(value) is list and value else value for name, value in frame.f_locals.items()}
    points = [name for name, value in firsts.items() if type(value) is dict and [*value] == [*point]]
    return any(f"{name}[" in line for name in points)


def _traceback(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(error)).rstrip()
    except BaseException as raised:  # noqa: BLE001 - an exception may raise whatever is asked of it
        text = f"{_type_name(error)}, whose traceback cannot be printed ({_type_name(raised)})"
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _MOST_DETAIL else f"{text[: _MOST_DETAIL // 2]}\n…\n{text[-_MOST_DETAIL // 2 :]}"


def name_of_signal(number: int) -> str:
    """Return a signal for people: `signal 11 (SIGSEGV)`."""
    import signal  # noqa: PLC0415 - needed where a process has died only

    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"
