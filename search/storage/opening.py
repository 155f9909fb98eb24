"""Opening and creating storages: a database is checked before it is used, and its tables are created once."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from coarsefine.model.atomic_files import remove_leftovers
from coarsefine.search.errors import StorageError
from coarsefine.search.storage import sqlite
from coarsefine.search.storage.database import persist, storage_errors
from coarsefine.search.storage.dialect import engine_options, transaction
from coarsefine.search.storage.file_state import refuse_unusable
from coarsefine.search.storage.location import Location, at_file
from coarsefine.search.storage.optuna_storage import LEASE_SECONDS, Storage
from coarsefine.search.storage.tables import INDEXES, NEEDED, lease

_CREATING_TABLES = 0x_C0A2_5EF1
"""Key of the PostgreSQL advisory lock that a process holds while it creates tables or indexes."""


def storage_exists(location: Location) -> bool:
    """Return whether a location holds studies, or something in their place."""
    if location.path:
        with storage_errors(location):
            return location.path.exists()
    with _connected(location) as connection:
        return _has_tables(connection)


def check_storage(
    location: Location, *, writing: bool, whole: bool = True, say: Callable[[str], object] = lambda _: None
) -> None:
    """Raise `StorageError` unless a location holds studies that can be read, and written with `writing`.

    Without `whole`, a file is not searched for damage. `say` is called with a sentence if another process has locked
    it for more than some seconds.
    """
    if location.path:
        sqlite.check(location.path, writing=writing, whole=whole, say=say)
    elif not storage_exists(location):
        raise StorageError(f"{location} holds no studies: start a campaign with `coarsefine run`, or give --storage.")


def server_version(location: Location) -> str:
    """Return the version of a PostgreSQL server; raise `StorageError` where it cannot be reached."""
    with _connected(location) as connection:
        return str(connection.exec_driver_sql("SHOW server_version").scalar_one())


def open_storage(
    location: Location,
    *,
    writing: bool = False,
    patient: bool = False,
    checked: bool = False,
    lease_seconds: float = LEASE_SECONDS,
    say: Callable[[str], None] | None = None,
) -> Storage:
    """Open an existing storage; raise `StorageError` where it is missing, damaged or not Optuna's.

    `patient` waits for a server that is restarting. It is for workers that join a running campaign; a first look at an
    address, which may be wrong, should fail at once. `say` is called with a sentence if it waits, or later the storage
    for a lock. `checked` skips what the process that starts this one has checked: that the tables fit this Optuna, and
    that no part of a file is damaged.
    """

    def open_it() -> Storage:
        check_storage(location, writing=writing, whole=not checked, say=say or (lambda _: None))
        storage = Storage(location, checked=checked, lease_seconds=lease_seconds)
        storage.database.say_locked = say
        return storage

    return persist(open_it, say) if patient else open_it()


def create_storage(location: Location) -> Storage:
    """Open a storage for writing, and create its file and tables if there are none.

    Only the process that starts the workers calls this. Raises `StorageError` where that cannot be done.
    """
    storage = _create_file(location.path) if location.path else _create_tables(location)
    try:
        _create_lease_table(storage)
    except BaseException:
        storage.close()
        raise
    return storage


def _create_file(path: Path) -> Storage:
    with storage_errors(path):
        sqlite.file_system(path)
        refuse_unusable(path)
    remove_leftovers(path.parent, path.name)  # a killed process may have left a second name of the file that it created
    if not path.exists():
        with sqlite.new_file(path) as unfinished:
            with closing(Storage(at_file(unfinished), new=True)) as storage:
                _create_lease_table(storage)  # others join as soon as the file is there
            sqlite.set_journal(unfinished)
    sqlite.check(path, writing=True)
    sqlite.leave_unsafe_journal(path)  # before a connection of our own is in its way
    return Storage(at_file(path))


def _create_tables(location: Location) -> Storage:
    with _connected(location) as connection:
        # Others wait here until the connection is closed, which also happens when this process dies.
        connection.execute(sa.select(sa.func.pg_advisory_lock(_CREATING_TABLES)))
        with _connected(location) as other:
            new = not _has_tables(other)
        return Storage(location, new=new)


def _create_lease_table(storage: Storage) -> None:
    with storage.guarded(), transaction(storage.engine) as connection:
        if connection.dialect.name == "postgresql":  # two that create the same at once fail, in spite of IF NOT EXISTS
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATING_TABLES)))
        if not sa.inspect(connection).has_table(lease.name):  # a user may have rights on tables only
            connection.execute(CreateTable(lease, if_not_exists=True))
        found = {column["name"] for column in sa.inspect(connection).get_columns(lease.name)}
        _create_indexes(connection)
    if not found >= set(lease.c.keys()):
        raise StorageError(
            f"{storage.location}: its table 'lease' was made by an earlier Coarsefine. Start with another --storage."
        )


def _create_indexes(connection: sa.Connection) -> None:
    """Create the indexes that are missing; leave out those of a table that belongs to another user of the server."""
    inspector = sa.inspect(connection)
    tables = {table for table, _ in INDEXES.values()}
    known = {index["name"] for table in tables for index in inspector.get_indexes(table)}
    for name, (table, columns) in INDEXES.items():
        if name not in known:
            with suppress(sa.exc.ProgrammingError), connection.begin_nested():
                connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {name} ON {table} ({columns})")


def _has_tables(connection: sa.Connection) -> bool:
    return set(sa.inspect(connection).get_table_names()) >= NEEDED


@contextmanager
def _connected(location: Location) -> Iterator[sa.Connection]:
    """Connect to a PostgreSQL server."""
    with storage_errors(location):
        engine = sa.create_engine(location.url, poolclass=sa.NullPool, **engine_options(location))
        with engine.connect() as connection:
            yield connection
