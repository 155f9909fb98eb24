"""Checks of the arguments of public functions: a wrong one is refused at once, with its value and what is wanted."""

import operator
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import SupportsIndex

from coarsefine.search.errors import UsageError


def require(fits: bool, argument: str, value: object, wanted: str) -> None:
    """Raise `UsageError` unless an argument fits; `argument` is its name with that of the function."""
    if not fits:
        raise UsageError(f"{argument} is {_shown(value)}: it must be {wanted}.")


def require_callable(argument: str, value: object) -> None:
    """Raise `UsageError` unless an argument can be called."""
    require(callable(value), argument, value, "a function")


def require_path(argument: str, value: object, *others: type, what: str = "a path") -> None:
    """Raise `UsageError` unless an argument is a path, as text or a `Path`, or is of another type."""
    require(isinstance(value, (str, Path, *others)), argument, value, what)


def require_strings(argument: str, value: object, wanted: str) -> None:
    """Raise `UsageError` unless an argument is a sequence of texts, which a text itself is not."""
    fits = isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(each, str) for each in value)
    require(fits, argument, value, wanted)


def whole_number(argument: str, value: object, least: int) -> int:
    """Return an argument as an integer; raise `UsageError` unless it is a whole number that is large enough."""
    wanted = f"a whole number, at least {least}"
    if not isinstance(value, SupportsIndex) or isinstance(value, bool):
        raise UsageError(f"{argument} is {_shown(value)}: it must be {wanted}.")
    number = operator.index(value)
    require(number >= least, argument, value, wanted)
    return number


def _shown(value: object) -> str:
    try:
        return reprlib.repr(value)
    except Exception:  # noqa: BLE001 - whatever `__repr__` raises
        return f"an object of type {type(value).__name__}"
