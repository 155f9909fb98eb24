"""Where studies live while things break: a SQLite file, or a PostgreSQL database, each begun empty."""

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
    """One storage, and a folder for what a run writes beside it."""

    database: str
    folder: Path
    address: str
    """What `--storage` is given."""
    engine: sa.Engine = field(repr=False)

    @property
    def location(self) -> Location:
        """Return it as the product knows it."""
        return locate(self.address)

    def rows(self, query: str) -> Sequence[Any]:
        """Return what a query gives; nothing while there is no storage."""
        if self.database == "SQLite" and not Path(self.address).exists():
            return []
        with self.engine.connect() as connection:
            return connection.exec_driver_sql(query).all()

    def count(self, query: str) -> int:
        """Return the number a query gives, 0 while there is no storage."""
        rows = self.rows(query)
        return int(rows[0][0] or 0) if rows else 0


@dataclass
class Databases:
    """Those to be tried, and how to begin anew in each."""

    folder: Path
    server: postgres.Server | None = None
    """Ours, which may be restarted."""
    url: str | None = None
    """Of the PostgreSQL database; None: there is none."""
    names: tuple[str, ...] = NAMES
    """Those that are tried."""

    def key(self, database: str) -> int:
        """Return the number by which a database draws, whether the other is tried or not."""
        return NAMES.index(database)

    @contextmanager
    def new(self, database: str, under: Path | None = None) -> Iterator[Place]:
        """Yield a place where nothing is; remove its folder after."""
        folder = Path(tempfile.mkdtemp(dir=under or self.folder))
        address = str(folder / "studies.db") if database == "SQLite" else self.url
        assert address is not None  # noqa: S101 - nobody asks for a database that is not among the names
        engine = _engine(address)
        try:
            if database == "PostgreSQL":
                _empty(engine)
            yield Place(database, folder, address, engine)
        finally:
            engine.dispose()
            shutil.rmtree(folder)

    def close(self) -> None:
        """Remove the server, if it is ours; of the user's database, what we wrote."""
        if self.server:
            self.server.remove()
        elif self.url:
            engine = _engine(self.url)
            _empty(engine)
            engine.dispose()


def databases(folder: Path, wanted: Sequence[str], url: str | None) -> Databases:
    """Return SQLite, and the PostgreSQL database of that URL, or of a server that is started if it can be."""
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
    """Return a connection of our own, which no experiment cuts for long."""
    url = locate(address).url
    waiting = {"connect_args": {"timeout": 30}} if url.startswith("sqlite") else {}
    return sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_pre_ping=True, **waiting)


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
