"""Where SQLite and PostgreSQL differ: the clock, upserts, the start of a transaction, connection options."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from coarsefine.search.storage.location import Location
from coarsefine.search.storage.lock_wait import patiently

BUSY_SECONDS = 60
"""How long a connection to SQLite waits for another one's write before it gives up."""
_STUCK_SECONDS = 60
"""How long PostgreSQL lets a stopped process keep its rows locked."""
_T = TypeVar("_T")


class Now(FunctionElement[float]):
    """The database's clock, in seconds since 1970."""

    type = sa.Float()
    inherit_cache = True


class Utc(FunctionElement[Any]):
    """The database's clock as Optuna stores times: naive, in UTC."""

    type = sa.DateTime()
    inherit_cache = True


# PostgreSQL's now() is the time the transaction began; a lease must last from the moment it is written.
_CLOCKS = {
    (Now, "sqlite"): "((julianday('now') - 2440587.5) * 86400.0)",
    (Now, "postgresql"): "CAST(extract(epoch FROM clock_timestamp()) AS float8)",
    (Utc, "sqlite"): "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    (Utc, "postgresql"): "(clock_timestamp() AT TIME ZONE 'UTC')",
}


@compiles(Now)
@compiles(Utc)
def _compile_clock(element: Now | Utc, compiler: Any, **_: Any) -> str:
    return _CLOCKS[type(element), compiler.dialect.name]


def upsert(
    connection: sa.Connection, table: sa.Table, unique: tuple[str, ...], rows: list[dict[str, Any]], **computed: Any
) -> None:
    """Insert rows with computed columns, or replace the columns that are not `unique` in rows that exist."""
    if rows:
        replaced = (*(name for name in rows[0] if name not in unique), *computed)
        statement = _upsert(connection.dialect.name, table, unique, replaced)
        connection.execute(statement.values(computed) if computed else statement, rows)


@cache  # built once, not for each record
def _upsert(backend: str, table: sa.Table, unique: tuple[str, ...], replaced: tuple[str, ...]) -> sa.Insert:
    statement = postgresql.insert(table) if backend == "postgresql" else sqlite.insert(table)
    return statement.on_conflict_do_update(
        index_elements=unique, set_={name: statement.excluded[name] for name in replaced}
    )


def insert_once(backend: str, table: sa.Table, unique: str, row: dict[str, Any]) -> sa.Insert:
    """Return a statement that inserts a row unless it exists, and waits for a transaction that is inserting it."""
    statement = postgresql.insert(table) if backend == "postgresql" else sqlite.insert(table)
    return statement.values(row).on_conflict_do_nothing(index_elements=[unique])


def unlocked(connection: sa.Connection, act: Callable[[], _T], waits: Callable[[], object]) -> _T:
    """Do what may wait for a lock on a SQLite file; call `waits` if it waits for more than some seconds."""
    driver: Any = connection.connection.driver_connection
    return act() if connection.dialect.name != "sqlite" else patiently(driver, act, waits, BUSY_SECONDS)


@contextmanager
def transaction(engine: sa.Engine, waits: Callable[[], object] = lambda: None) -> Iterator[sa.Connection]:
    """Open a transaction for writing; commit it, or roll it back if an exception is raised.

    `waits` is called if it must wait for a lock on a SQLite file for more than some seconds.
    """
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            yield connection
        return
    # AUTOCOMMIT keeps SQLite's driver from opening a transaction of its own, which would start as a reader and
    # fail on its first write if another process wrote in between.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        unlocked(connection, lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"), waits)
        try:
            yield connection
            unlocked(connection, lambda: connection.exec_driver_sql("COMMIT"), waits)  # for readers
        except BaseException:
            with suppress(sa.exc.SQLAlchemyError):  # a full disk has rolled it back: that is the error to report
                connection.exec_driver_sql("ROLLBACK")
            raise


@contextmanager
def moment(connection: sa.Connection) -> Iterator[None]:
    """Let all statements of a connection see the database at one moment, that of the first.

    In SQLite nobody can commit meanwhile, unless the journal is a WAL. In PostgreSQL the moment lasts until the
    connection is closed, which must not have read before.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    connection.exec_driver_sql("BEGIN")
    try:
        yield
    finally:
        connection.exec_driver_sql("ROLLBACK")


def reading(engine: sa.Engine) -> sa.Connection:
    """Return a connection that can read at one `moment`."""
    connection = engine.connect()
    if engine.dialect.name == "postgresql":
        connection.execution_options(isolation_level="REPEATABLE READ")
    return connection


def engine_options(location: Location) -> dict[str, Any]:
    """Return the keyword arguments for `create_engine`."""
    if location.path:
        return {"connect_args": {"timeout": BUSY_SECONDS}}
    given = sa.make_url(location.url).query
    stuck = f"-c idle_in_transaction_session_timeout={1000 * _STUCK_SECONDS}"
    settings = [stuck, "-c default_transaction_read_only=on"] if location.read_only else [stuck]
    options = {
        # Without these a broken network connection is noticed only after two hours.
        "connect_timeout": "10",
        "keepalives_idle": "20",
        "tcp_user_timeout": "30000",
        "application_name": "coarsefine",
        "client_encoding": "utf8",
        **given,
        "options": " ".join([str(given.get("options", "")), *settings]).strip(),
    }
    return {"pool_pre_ping": True, "connect_args": options}
