"""The rules a SQLite file must keep before anyone trusts it with trials.

A file is made whole or not at all, is checked before training starts, and is never repaired or replaced behind the
user's back. The journal mode follows the library: SQLite 3.7.0 to 3.51.2 can corrupt a WAL database that has several
connections (the WAL-reset bug, https://sqlite.org/wal.html#walresetbug; backports 3.50.7 and 3.44.6).
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from search.errors import StorageError, UsageError

_MAGIC = b"SQLite format 3\x00"
_OPTUNA_TABLES = {"studies", "trials", "alembic_version"}
BUSY_SECONDS = 60
"""How long a connection waits for another's write before it gives up."""


def locate(storage: str) -> Path:
    """Return the file of a storage given as path or `sqlite:///` URL.

    Raises `UsageError` for a URL of another kind.
    """
    if "\0" in storage or not storage.strip():
        raise UsageError(f"The storage {storage!r} is no path: give a file such as studies.db.")
    if "://" not in storage:
        return Path(storage).absolute()
    url = _parsed(storage)
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        shown = url.render_as_string(hide_password=True)
        raise UsageError(f"The storage {shown} is not supported: give a SQLite file, such as sqlite:///studies.db.")
    return Path(url.database).absolute()


def _parsed(storage: str) -> URL:
    try:
        return make_url(storage)
    except (ArgumentError, ValueError) as error:  # do not show it: it may hold a password
        raise UsageError("The storage is no database URL: give a file such as studies.db.") from error


def url_of(path: Path) -> str:
    """Return the URL for Optuna, which sends it through `str.format`."""
    plain = URL.create("sqlite", database=str(path)).render_as_string()
    return plain.replace("{", "{{").replace("}", "}}")


def journal_mode(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str:
    """Return the journal mode that is safe for several connections with this SQLite library."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "wal" if fixed else "delete"


def check(path: Path, *, writing: bool) -> None:
    """Raise `StorageError` unless the file is a sound Optuna database that may be read, and written if asked."""
    with disk_errors(path):
        _check_file(path, writing=writing)
        # Read-write even for readers: a journal left by a killed writer must be rolled back before anything is read.
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if verdict != "ok":
        raise StorageError(
            f"{path} is damaged ({' '.join(verdict.split())}): move it away, and put back a copy made before."
        )
    if not tables >= _OPTUNA_TABLES:
        raise StorageError(
            f"{path} is a SQLite file of something else: it has no Optuna studies. Give another --storage."
        )


def _check_file(path: Path, *, writing: bool) -> None:
    if not path.exists():
        raise StorageError(f"There is no {path}: start a campaign with `coarsefine run`, or give --storage.")
    if not path.is_file():
        raise StorageError(f"{path} is not a file: give --storage the path of a SQLite file, such as studies.db.")
    with path.open("r+b" if writing else "rb") as file:
        head = file.read(len(_MAGIC))
    if not head:
        raise StorageError(f"{path} is empty (0 bytes), so its studies are lost: put back a copy, or remove it.")
    if head != _MAGIC:
        raise StorageError(f"{path} is no SQLite file, or a damaged one: put back a copy, or give another --storage.")


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield the path of a file to fill; it appears at `path` when whole, unless another process was first.

    A process killed while it fills the file leaves nothing at `path`.
    """
    with disk_errors(path):
        _remove_leftovers(path)
        unfinished = path.with_name(f"{path.name}-new-{os.getpid()}")
        try:
            yield unfinished
            try:
                os.link(unfinished, path)  # unlike rename, link never replaces a file that appeared meanwhile
            except FileExistsError:
                return
        finally:
            unfinished.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f"{path.name}-new-*"):
        pid = leftover.name.rpartition("-")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            leftover.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's and SQLite's errors into a `StorageError` that names the file and the cause."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StorageError(told(path, error)) from error


def told(path: Path, error: BaseException) -> str:
    """Return what happened to the file and what to do: the root of a chain of exceptions, with its remedy.

    Optuna wraps a full disk as "invalid data", SQLAlchemy adds the statement: neither helps a reader.
    """
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    cause = str(getattr(error, "strerror", None) or error).rstrip(".")
    return f"{path}: {cause}. {_remedy(cause.lower())}"


def _remedy(text: str) -> str:
    if "disk is full" in text or "no space" in text or "disk i/o" in text or "too large" in text:
        return "Free some space and run the same command again: what was recorded is kept."
    if "permission" in text or "readonly" in text or "unable to open" in text or "read-only" in text:
        return "Give yourself the right to read and write it and its folder, or another --storage."
    if "locked" in text:
        return "Another program holds it: close that, and run the same command again."
    return "Check the file, or give another --storage."
