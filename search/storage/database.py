"""Transactions on a database: its errors get a remedy, and a transaction whose connection was cut is tried again."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from coarsefine.search.storage.dialect import transaction
from coarsefine.search.storage.error_messages import database_errors
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.retry import persist

_T = TypeVar("_T")
Row = sa.Row[*tuple[Any, ...]]


class Database:
    """Reads and writes a database. Each method raises `StorageError` when the database stays unusable."""

    def __init__(self, engine: sa.Engine, location: Location) -> None:
        self.backend = engine.dialect.name
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
