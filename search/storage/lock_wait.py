"""Waits for a lock on a SQLite file. SQLite itself waits for a minute without a word; after some seconds we say why."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from coarsefine.search.storage.file_state import lock_holder

_SILENT_SECONDS = 3.0
"""How long a wait is nothing to speak of: no transaction of Coarsefine takes so long."""
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_PRIMARY = 0xFF
"""The bits of SQLite's extended codes that are the primary one."""
_T = TypeVar("_T")


def patiently(
    connection: sqlite3.Connection, act: Callable[[], _T], waits: Callable[[], object], most_seconds: float
) -> _T:
    """Do something that needs a lock and return its result; call `waits` once if the lock is not free in some seconds.

    It is done again after that. Raises SQLite's or SQLAlchemy's error if the lock is not free in `most_seconds`, which
    is the connection's own limit.
    """
    first = min(_SILENT_SECONDS, most_seconds)
    try:
        return _within(connection, act, first, most_seconds)
    except (sqlite3.OperationalError, sa.exc.OperationalError) as error:
        code = getattr(getattr(error, "orig", error), "sqlite_errorcode", 0)
        if code & _PRIMARY not in _BUSY or first == most_seconds:
            raise
    waits()
    return _within(connection, act, most_seconds - first, most_seconds)


def lock_sentence(path: Path) -> str:
    """Return that a file is locked, and by which process if that is known."""
    return f"{path} is locked by {lock_holder(path) or 'another program'}: waiting for it, a minute at most."


def _within(connection: sqlite3.Connection, act: Callable[[], _T], seconds: float, usual: float) -> _T:
    """Do something while the connection waits for locks no longer than these seconds."""
    _limit(connection, seconds)
    try:
        return act()
    finally:
        _limit(connection, usual)


def _limit(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {round(1000 * seconds)}").close()
