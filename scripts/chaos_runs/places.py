"""Storages for the experiments: a SQLite file or a PostgreSQL database, empty at the start."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import postgres
import sqlalchemy as sa

from coarsefine.search.errors import UsageError
from coarsefine.search.storage.location import Location, locate

NAMES = ("SQLite", "PostgreSQL")


@dataclass(frozen=True)
class Place:
    """One storage, and a folder for the other files of a run."""

    database: str
    folder: Path
    address: str
    """The value of `--storage`."""
    engine: sa.Engine = field(repr=False)

    @property
    def location(self) -> Location:
        """Return the product's location of the storage."""
        return locate(self.address)

    def rows(self, query: str) -> Sequence[Any]:
        """Return the rows of a query; none while there is no storage."""
        if self.database == "SQLite" and not Path(self.address).exists():
            return []
        with self.engine.connect() as connection:
            return connection.exec_driver_sql(query).all()

    def execute(self, statement: str) -> None:
        """Execute a statement that changes rows."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def count(self, query: str) -> int:
        """Return the number a query gives, 0 while there is no storage."""
        rows = self.rows(query)
        return int(rows[0][0] or 0) if rows else 0


@dataclass
class Databases:
    """The databases to test, and how to start with an empty one."""

    folder: Path
    server: postgres.Server | None = None
    """Our own server, which may be restarted."""
    url: str | None = None
    """URL of the PostgreSQL database; None if there is none."""
    names: tuple[str, ...] = NAMES
    """The databases that are tested."""

    def key(self, database: str) -> int:
        """Return the database's number for random seeds, which does not depend on the other database."""
        return NAMES.index(database)

    @contextmanager
    def new(self, database: str, under: Path | None = None) -> Iterator[Place]:
        """Yield an empty storage; remove its folder afterwards."""
        folder = Path(tempfile.mkdtemp(dir=under or self.folder))
        address = str(folder / "studies.db") if database == "SQLite" else self.url
        assert address is not None  # noqa: S101 - only databases among the names are used
        engine = _engine(address)
        try:
            if database == "PostgreSQL":
                _empty(engine)
            yield Place(database, folder, address, engine)
        finally:
            engine.dispose()
            shutil.rmtree(folder)

    def close(self) -> None:
        """Remove our own server; in a user's database, remove our tables."""
        if self.server:
            self.server.remove()
        elif self.url:
            engine = _engine(self.url)
            _empty(engine)
            engine.dispose()


def databases(folder: Path, wanted: Sequence[str], url: str | None) -> Databases:
    """Return SQLite, and PostgreSQL at the given URL or on a server started here if possible."""
    if "PostgreSQL" not in wanted:
        return Databases(folder, names=NAMES[:1])
    if url is not None:
        _refuse_used(url)
        return Databases(folder, url=url, names=tuple(wanted))
    programs = postgres.find_programs()
    if programs is None:
        return Databases(folder, names=tuple(name for name in wanted if name == "SQLite"))
    server = postgres.Server(programs)
    server.start()
    os.environ["PGPASSWORD"] = postgres.PASSWORD
    return Databases(folder, server, server.url("postgres"), tuple(wanted))


def _engine(address: str) -> sa.Engine:
    """Return a connection of our own, which survives the experiments; with a limit to waits."""
    url = locate(address).url
    waiting: dict[str, Any] = {"timeout": 30} if url.startswith("sqlite") else {"options": "-c lock_timeout=5s"}
    return sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_pre_ping=True, connect_args=waiting)


def _refuse_used(url: str) -> None:
    engine = _engine(url)
    tables = set(sa.inspect(engine).get_table_names())
    used = bool(tables) and "studies" not in tables
    with engine.connect() as connection:
        used = used or bool(tables and connection.exec_driver_sql("SELECT count(*) FROM studies").scalar_one())
    engine.dispose()
    if used:
        raise UsageError("The database of --postgres is not empty: give one that holds nothing, for it is emptied.")


def _empty(engine: sa.Engine) -> None:
    if "studies" in sa.inspect(engine).get_table_names():
        with engine.connect() as connection:
            connection.exec_driver_sql("TRUNCATE studies, lease RESTART IDENTITY CASCADE")
