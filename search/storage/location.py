"""Where studies are stored: a SQLite file or a PostgreSQL database.

Only the driver receives a password. No message, no study and no JSON contains it.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from coarsefine.search.arguments import require_path
from coarsefine.search.errors import UsageError

_SECRET = {"password", "sslpassword", "passfile", "oauth_client_secret"}
"""Query parameters that libpq takes secrets from."""
_DEFAULT_NAME = "studies"
_SUPPORTED = "give a SQLite file, such as studies.db, or postgresql+psycopg://USER@HOST/DATABASE"


@dataclass(frozen=True, slots=True)
class Location:
    """Where studies are stored."""

    url: str = field(repr=False)
    """The URL for the driver, with the password if there is one."""
    shown: str
    """The URL for people, without the password."""
    path: Path | None
    """The SQLite file; None for PostgreSQL."""
    read_only: bool = False
    """Whether the database refuses writes through this location."""

    @property
    def folder(self) -> Path:
        """Return the folder for the files that a campaign writes next to its studies."""
        return self.path.parent if self.path else Path.cwd()

    def output_folder(self, kind: str) -> Path:
        """Return the folder for files of a kind: `trained`, or `other-trained` where the storage is other.db."""
        name = self.path.stem if self.path else str(make_url(self.url).database)
        return self.folder / (kind if name == _DEFAULT_NAME else f"{name}-{kind}")

    @property
    def secrets(self) -> list[str]:
        """Return the parts of the URL that no message may show."""
        url = make_url(self.url)
        given = [url.password, *(url.query.get(name) for name in _SECRET)]
        return [str(secret) for secret in given if secret]

    def __str__(self) -> str:
        return str(self.path or self.shown)


def locate(storage: str | Path | Location) -> Location:
    """Return the location of a storage given as a path, a `sqlite:///` or a `postgresql://` URL.

    Raises `UsageError` for a URL of another kind, or where the driver is not installed.
    """
    if isinstance(storage, Location):
        return storage
    require_path("storage", storage, what="a path or the URL of a database")
    text = str(storage)
    if "\0" in text or not text.strip():
        raise UsageError(f"The storage {text!r} is not a path: {_SUPPORTED}.")
    if "://" not in text:
        return at_file(Path(text))
    url = _parsed(text)
    if url.drivername in {"postgresql", "postgresql+psycopg"}:
        return _at_server(url.set(drivername="postgresql+psycopg"))
    if url.get_backend_name() != "sqlite" or url.host or url.query or url.database in {None, "", ":memory:"}:
        raise UsageError(f"The storage {_without_secrets(url)} is not supported: {_SUPPORTED}.")
    return at_file(Path(str(url.database)))


def at_file(path: Path) -> Location:
    """Return the location of a SQLite file; raise `UsageError` if its path cannot be written as text."""
    path = path.absolute()
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"The path {str(path)!r} is not UTF-8: rename what is not, or give another --storage."
        ) from error
    url = URL.create("sqlite", database=str(path)).render_as_string()
    return Location(url, f"sqlite:///{path}", path)


def read_only(location: Location) -> Location:
    """Return the same location with writes refused: by SQLite's open mode, or by the server."""
    url = location.url
    if location.path:
        # SQLite interprets `?`, `#` and `%` in a file name that is given as a URI.
        file, asked = f"file:{quote(str(location.path))}", {"mode": "ro", "uri": "true"}
        url = URL.create("sqlite", database=file, query=asked).render_as_string()
    return replace(location, url=url, read_only=True)


def _at_server(url: URL) -> Location:
    try:
        import psycopg  # noqa: F401, PLC0415 - an extra: only PostgreSQL needs it
    except ImportError as error:
        raise UsageError("PostgreSQL needs the driver psycopg: pip install 'psycopg[binary]'.") from error
    return Location(url.render_as_string(hide_password=False), _without_secrets(url), None)


def _parsed(storage: str) -> URL:
    try:
        url = make_url(storage)
    except (ArgumentError, ValueError):  # neither shown nor chained: it may hold a password
        raise UsageError(f"The storage is not a database URL: {_SUPPORTED}.") from None
    if url.get_backend_name() != "sqlite" and "@" in f"{url.host}{url.database}":  # the rest of a password
        raise UsageError(f"The storage is not a database URL, or its password is not percent-encoded: {_SUPPORTED}.")
    return url


def _without_secrets(url: URL) -> str:
    query = url.difference_update_query(_SECRET).query
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database, query).render_as_string()
