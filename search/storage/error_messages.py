"""What went wrong at a storage location and what to do about it, as a `StorageError`."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from optuna.exceptions import StorageInternalError

from coarsefine.search.errors import StorageError
from coarsefine.search.storage.location import Location


@contextmanager
def disk_errors(place: Path | Location) -> Iterator[None]:
    """Turn errors of the operating system and of SQLite into a `StorageError` that names the place and the cause."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StorageError(describe(place, error)) from error


@contextmanager
def database_errors(location: Location) -> Iterator[None]:
    """Turn errors of the database, its driver and its disk into a `StorageError` that names location and cause."""
    try:
        with disk_errors(location):
            yield
    except (sa.exc.SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        raise StorageError(describe(location, error)) from error


def describe(place: Path | Location, error: BaseException) -> str:
    """Return what happened at a place and what to do: the root of a chain of exceptions, with its remedy.

    Optuna reports a full disk as "invalid data" and SQLAlchemy adds the statement; neither helps a reader. The secrets
    of a location are left out.
    """
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    cause = " ".join(str(getattr(error, "strerror", None) or error).split()).rstrip(".")
    if isinstance(place, Location):
        for secret in place.secrets:
            cause = cause.replace(secret, "***")
    remedies = (remedy for words, remedy in _REMEDIES.items() if any(word in cause.lower() for word in words))
    return f"{place}: {cause}. {next(remedies, 'Check it, or give another --storage.')}"


_REMEDIES = {
    ("disk is full", "no space", "disk i/o", "too large"): (
        "Free some space and run the same command again: what was recorded is kept."
    ),
    ("no longer compatible",): "Coarsefine needs tables of the Optuna version it runs with.",
    ("does not exist",): "Create the database first (createdb), or correct the URL.",
    ("password", "authentication", "pg_hba", "role "): (
        "Give user and password in the URL, by PGUSER and PGPASSWORD, or in ~/.pgpass."
    ),
    ("permission denied for", "must be owner"): (
        "Ask the database's owner to grant the right to create and write tables."
    ),
    ("permission", "readonly", "unable to open", "read-only"): (
        "Grant yourself read and write access to it and its folder, or give another --storage."
    ),
    ("connection", "timeout", "resolve", "shutting down", "starting up"): (
        "Check that the server runs and can be reached, then run the same command again: what was recorded is kept."
    ),
    ("locked",): "Another program has locked it: close that program, and run the same command again.",
}
"""What to do, by words of the cause; the first match counts."""
