"""Transactions on a database: its errors get a remedy, and a transaction whose connection was cut is tried again."""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from optuna.exceptions import StorageInternalError

from coarsefine.search.errors import StorageError
from coarsefine.search.storage.causes import describe, root_cause, text_of
from coarsefine.search.storage.dialect import BUSY_SECONDS, reading, transaction, unlocked
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.lock_wait import lock_sentence
from coarsefine.search.storage.write_turn import WriteTurn

PATIENCE_SECONDS = 60.0
"""How long a transaction is tried again. A server restarts in less."""
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 5.0
_SILENT_SECONDS = 1.0
"""How long it is tried again without a word."""

_PASSING = {"40001", "40P01", "53300", "57014", "25P03"}
"""PostgreSQL codes: not serialisable, deadlock, too many connections, cancelled, idle in a transaction too long."""

_LASTING = (
    "authentication", "no password", "does not exist", "pg_hba", "resolve host", "translate host", "SSL", "invalid ",
    "permitted to log in",
)  # fmt: skip
"""Words in the error of a connection that will not succeed later either; libpq gives no codes."""

_T = TypeVar("_T")
Row = sa.Row[*tuple[Any, ...]]


class Database:
    """Reads and writes a database. Each method raises `StorageError` when the database stays unusable."""

    def __init__(self, engine: sa.Engine, location: Location) -> None:
        self._engine, self._location = engine, location
        self._turn = WriteTurn(location.path)
        self.say: Callable[[str], None] | None = None
        """Is called with a sentence when a transaction waits for the server."""
        self.say_locked: Callable[[str], None] | None = None
        """Is called with a sentence when another process has locked a SQLite file for more than some seconds."""
        self._locked_until = 0.0
        """When a lock may be spoken of again: threads of a process may wait for the same one."""

    def transact(self, work: Callable[[sa.Connection], _T]) -> _T:
        """Do the work in one transaction, again if the connection is cut: done twice, it must leave the same rows.

        The first time may have been committed, with only the answer lost.
        """

        def attempt() -> _T:
            with self._turn.taken(), transaction(self._engine, self._report_lock) as connection:
                return work(connection)

        return self.persist(attempt)

    def survey(self, work: Callable[[sa.Connection], _T]) -> _T:
        """Do the work with a connection that can read at one `moment`, again if the connection is cut or must wait."""

        def attempt() -> _T:
            with reading(self._engine) as connection:
                return unlocked(connection, lambda: work(connection), self._report_lock)

        return self.persist(attempt)

    def read(self, query: sa.Select[*tuple[Any, ...]], **bound: Any) -> Sequence[Row]:
        """Return the rows of a query."""

        def attempt() -> Sequence[Row]:
            with self._engine.connect() as connection:
                return unlocked(connection, lambda: connection.execute(query, bound).all(), self._report_lock)

        return self.persist(attempt)

    def close(self) -> None:
        """Close what transactions of this process share; a later one opens it again."""
        self._turn.close()

    def has_table(self, name: str) -> bool:
        """Return whether the database has a table."""
        return self.persist(lambda: sa.inspect(self._engine).has_table(name))

    def persist(self, work: Callable[[], _T]) -> _T:
        """Do the work, again if the connection is cut."""
        with storage_errors(self._location, in_use=True):
            return persist(work, self.say)

    def _report_lock(self) -> None:
        path, now = self._location.path, time.monotonic()
        if path is not None and self.say_locked is not None and now >= self._locked_until:
            self._locked_until = now + BUSY_SECONDS
            self.say_locked(lock_sentence(path))


def only_here(say: Callable[[str], None]) -> Callable[[str], None]:
    """Return a function that says what it is given in this thread only: the thread that renews leases says nothing."""
    here = threading.get_ident()

    def say_here(sentence: str) -> None:
        if threading.get_ident() == here:
            say(sentence)

    return say_here


def persist(work: Callable[[], _T], say: Callable[[str], None] | None = None) -> _T:
    """Do the work and return its result, again with growing, jittered waits while its connection is cut.

    `say` is called with a sentence if that takes longer than a moment.
    """
    began, longest, said = time.monotonic(), _FIRST_WAIT, False
    deadline = began + PATIENCE_SECONDS
    while True:
        try:
            return work()
        except (sa.exc.SQLAlchemyError, StorageInternalError, StorageError) as error:
            # Jitter, so that a hundred workers do not return to a server at the same moment.
            wait = longest * random.uniform(0.5, 1.0)  # noqa: S311
            if not _is_passing(error) or time.monotonic() + wait > deadline:
                raise
            if say is not None and not said and time.monotonic() + wait > began + _SILENT_SECONDS:
                said = True
                say(f"The database does not answer ({text_of(root_cause(error))}): trying again for a minute.")
        time.sleep(wait)
        longest = min(2 * longest, _LONGEST_WAIT)


def _is_passing(error: BaseException | None) -> bool:
    """Return whether an error comes from a cut or refused connection or a lost race, so that a retry can succeed."""
    if error is None:
        return False
    return _is_cut(error) or _is_passing(error.__cause__ or error.__context__)


def _is_cut(error: BaseException) -> bool:
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    code = getattr(error.orig, "sqlstate", None)
    if code is not None:
        return error.connection_invalidated or code in _PASSING or code.startswith(("08", "57P"))
    # Without a code the server was not reached. SQLite has no codes, and its errors do not pass by themselves.
    of_psycopg = type(error.orig).__module__.startswith("psycopg") and isinstance(error, sa.exc.OperationalError)
    return error.connection_invalidated or (of_psycopg and not any(words in str(error.orig) for words in _LASTING))


@contextmanager
def storage_errors(place: Path | Location, *, in_use: bool = False) -> Iterator[None]:
    """Turn errors of a database, its driver and its disk into a `StorageError` that names the place and the cause.

    `in_use` says that the database was opened before.
    """
    try:
        yield
    except (OSError, sqlite3.Error, sa.exc.SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        raise StorageError(describe(place, error, in_use=in_use)) from error
