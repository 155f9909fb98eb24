"""Transactions on a database: its errors get a remedy, and a transaction whose connection was cut is tried again."""

import itertools
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from optuna.exceptions import StorageInternalError

from coarsefine.search.errors import StorageError
from coarsefine.search.storage.dialect import transaction
from coarsefine.search.storage.error_messages import database_errors
from coarsefine.search.storage.location import Location

PATIENCE_SECONDS = 60.0
"""How long a transaction is tried again. A server restarts in less."""
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 5.0

_PASSING = {"40001", "40P01", "53300", "57014", "25P03"}
"""PostgreSQL codes: not serialisable, deadlock, too many connections, cancelled, idle in a transaction too long."""

_LASTING = ("authentication", "no password", "does not exist", "pg_hba", "resolve host", "translate host")
"""Words in the error of a connection that will not succeed later either; libpq gives no codes."""

_T = TypeVar("_T")
Row = sa.Row[*tuple[Any, ...]]


class Database:
    """Reads and writes a database. Each method raises `StorageError` when the database stays unusable."""

    def __init__(self, engine: sa.Engine, location: Location) -> None:
        self._engine, self._location = engine, location

    def transact(self, work: Callable[[sa.Connection], _T]) -> _T:
        """Do the work in one transaction, again if the connection is cut: done twice, it must leave the same rows."""
        return self.transact_retried(lambda connection, _: work(connection))

    def transact_retried(self, work: Callable[[sa.Connection, bool], _T]) -> _T:
        """Do the work in one transaction; the work receives whether an earlier try may have been committed."""

        def attempt(retried: bool) -> _T:
            with transaction(self._engine) as connection:
                return work(connection, retried)

        return self.persist(attempt)

    def read(self, query: sa.Select[*tuple[Any, ...]], **bound: Any) -> Sequence[Row]:
        """Return the rows of a query."""

        def attempt(_: bool) -> Sequence[Row]:
            with self._engine.connect() as connection:
                return connection.execute(query, bound).all()

        return self.persist(attempt)

    def persist(self, work: Callable[[bool], _T]) -> _T:
        """Do the work, again if the connection is cut; the work receives whether it was tried before."""
        with database_errors(self._location):
            return persist(work)


def persist(work: Callable[[bool], _T]) -> _T:
    """Do the work and return its result, again with growing, jittered waits while its connection is cut.

    The work receives whether it was tried before: it may have been committed then, with only the answer lost.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    for tries in itertools.count():
        try:
            return work(tries > 0)
        except (sa.exc.SQLAlchemyError, StorageInternalError, StorageError) as error:
            # Jitter, so that a hundred workers do not return to a server at the same moment.
            wait = min(_FIRST_WAIT * 2.0**tries, _LONGEST_WAIT) * random.uniform(0.5, 1.0)  # noqa: S311
            if not _is_passing(error) or time.monotonic() + wait > deadline:
                raise
        time.sleep(wait)
    raise AssertionError("counting never ends")


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
