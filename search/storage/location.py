"""Where studies live, a SQLite file or a PostgreSQL database, and how what goes wrong there is told.

A password serves the driver alone: no message, no study and no JSON ever holds it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from coarsefine.search.errors import StorageError, UsageError

_SECRET = {"password", "sslpassword", "passfile", "oauth_client_secret"}
"""Query parameters that libpq takes secrets from."""
_USUAL = "studies"
_KNOWN = "give a SQLite file, such as studies.db, or postgresql+psycopg://USER@HOST/DATABASE"


@dataclass(frozen=True, slots=True)
class Location:
    """Where studies live."""

    kind: Literal["sqlite", "postgresql"]
    url: str = field(repr=False)
    """For the driver: with the password, if one was given."""
    shown: str
    """For people: the URL without its password."""
    path: Path | None
    """The SQLite file."""
    read_only: bool = False
    """Whether the database refuses writes through this location."""

    @property
    def file(self) -> Path:
        """Return the SQLite file, of a location that is one."""
        assert self.path is not None, "only SQLite has a file"  # noqa: S101
        return self.path

    @property
    def folder(self) -> Path:
        """Return where the files go that a campaign makes beside its studies."""
        return self.path.parent if self.path else Path.cwd()

    def output_folder(self, what: str) -> Path:
        """Return the folder for files of a kind: `trained`, or `other-trained` where the storage is other.db."""
        name = self.path.stem if self.path else str(make_url(self.url).database)
        return self.folder / (what if name == _USUAL else f"{name}-{what}")

    def __str__(self) -> str:
        return str(self.path or self.shown)


def locate(storage: str | Path | Location) -> Location:
    """Return the location of a storage given as path, `sqlite:///` or `postgresql://` URL.

    Raises `UsageError` for a URL of another kind, or where the driver is not installed.
    """
    if isinstance(storage, Location):
        return storage
    text = str(storage)
    if "\0" in text or not text.strip():
        raise UsageError(f"The storage {text!r} is no path: {_KNOWN}.")
    if "://" not in text:
        return at_file(Path(text))
    url = _parsed(text)
    if url.drivername in {"postgresql", "postgresql+psycopg"}:
        return _at_server(url.set(drivername="postgresql+psycopg"))
    if url.get_backend_name() != "sqlite" or url.host or url.query or url.database in {None, "", ":memory:"}:
        raise UsageError(f"The storage {_without_secrets(url)} is not supported: {_KNOWN}.")
    return at_file(Path(str(url.database)))


def at_file(path: Path) -> Location:
    """Return the location of a SQLite file."""
    path = path.absolute()
    url = URL.create("sqlite", database=str(path)).render_as_string()
    return Location("sqlite", url, f"sqlite:///{path}", path)


def read_only(location: Location) -> Location:
    """Return the location with writes refused: by SQLite's mode of opening, or by the server."""
    url = location.url
    if location.kind == "sqlite":
        # SQLite reads `?`, `#` and `%` in the name of a file that is given as a URI.
        file, asked = f"file:{quote(str(location.file))}", {"mode": "ro", "uri": "true"}
        url = URL.create("sqlite", database=file, query=asked).render_as_string()
    return replace(location, url=url, read_only=True)


def _at_server(url: URL) -> Location:
    try:
        import psycopg  # noqa: F401, PLC0415 - an extra: needed by who uses PostgreSQL alone
    except ImportError as error:
        raise UsageError(
            "PostgreSQL needs the driver psycopg: install coarsefine[postgresql], or psycopg[binary] beside it."
        ) from error
    return Location("postgresql", url.render_as_string(hide_password=False), _without_secrets(url), None)


def _parsed(storage: str) -> URL:
    try:
        url = make_url(storage)
    except (ArgumentError, ValueError):  # neither shown nor chained: it may hold a password
        raise UsageError(f"The storage is no database URL: {_KNOWN}.") from None
    if url.get_backend_name() != "sqlite" and "@" in f"{url.host}{url.database}":  # the rest of a password
        raise UsageError(f"The storage is no database URL, or its password is not percent-encoded: {_KNOWN}.")
    return url


def _without_secrets(url: URL) -> str:
    query = url.difference_update_query(_SECRET).query
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database, query).render_as_string()


def _secrets(location: Location) -> list[str]:
    url = make_url(location.url)
    given = [url.password, *(url.query.get(name) for name in _SECRET)]
    return [str(secret) for secret in given if secret]


@contextmanager
def disk_errors(place: Path | Location) -> Iterator[None]:
    """Turn the operating system's and SQLite's errors into a `StorageError` that names the place and the cause."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StorageError(told(place, error)) from error


def told(place: Path | Location, error: BaseException) -> str:
    """Return what happened at a place and what to do: the root of a chain of exceptions, with its remedy.

    Optuna wraps a full disk as "invalid data", SQLAlchemy adds the statement: neither helps a reader.
    """
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    cause = " ".join(str(getattr(error, "strerror", None) or error).split()).rstrip(".")
    if isinstance(place, Location):
        for secret in _secrets(place):
            cause = cause.replace(secret, "***")
    return f"{place}: {cause}. {_remedy(cause.lower())}"


_REMEDIES = {
    ("disk is full", "no space", "disk i/o", "too large"): (
        "Free some space and run the same command again: what was recorded is kept."
    ),
    ("no longer compatible",): "Coarsefine needs tables of the Optuna it runs with.",
    ("does not exist",): "Make the database first (createdb), or correct the URL.",
    ("password", "authentication", "pg_hba", "role "): (
        "Give user and password in the URL, by PGUSER and PGPASSWORD, or in ~/.pgpass."
    ),
    ("permission denied for", "must be owner"): "Let the database's owner grant the right to create and write tables.",
    ("permission", "readonly", "unable to open", "read-only"): (
        "Give yourself the right to read and write it and its folder, or another --storage."
    ),
    ("connection", "timeout", "resolve", "shutting down", "starting up"): (
        "See that the server runs and can be reached, then run the same command again: what was recorded is kept."
    ),
    ("locked",): "Another program holds it: close that, and run the same command again.",
}
"""What to do, by words of the cause; the first that fits."""


def _remedy(cause: str) -> str:
    fitting = (remedy for words, remedy in _REMEDIES.items() if any(word in cause for word in words))
    return next(fitting, "Check it, or give another --storage.")
