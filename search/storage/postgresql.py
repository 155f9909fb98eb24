"""A PostgreSQL database's tables: made once by whoever comes first, and looked at before they are trusted."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from coarsefine.search.storage.dialect import engine_options
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.tables import NEEDED

_MAKING_TABLES = 0x_C0A2_5EF1
"""Key of the advisory lock that whoever makes the tables holds."""


def has_tables(location: Location) -> bool:
    """Tell whether the database holds Optuna's tables."""
    with _connected(location) as connection:
        return set(sa.inspect(connection).get_table_names()) >= NEEDED


def server_version(location: Location) -> str:
    """Return the version of the server."""
    with _connected(location) as connection:
        return str(connection.exec_driver_sql("SHOW server_version").scalar_one())


@contextmanager
def making_tables(location: Location) -> Iterator[None]:
    """Keep others from making tables in the same database, and wait for who does; a process that dies lets go."""
    with _connected(location) as connection:
        connection.execute(sa.select(sa.func.pg_advisory_lock(_MAKING_TABLES)))
        yield


@contextmanager
def _connected(location: Location) -> Iterator[sa.Connection]:
    engine = sa.create_engine(location.url, poolclass=sa.NullPool, **engine_options(location))
    with engine.connect() as connection:
        yield connection
