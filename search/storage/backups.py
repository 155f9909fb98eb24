"""Copies of a SQLite file, one for each finished stage: the way back where the file is damaged."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from coarsefine.search.files import remove_leftovers, unfinished
from coarsefine.search.storage.location import disk_errors

_KEPT = 5
_PATIENCE_SECONDS = 60


def back_up(path: Path, label: str) -> Path:
    """Copy a live database, as one transaction sees it, into the folder of its backups; return the copy.

    Others may read meanwhile; who wants to write waits for the copy. The oldest beyond five are removed.

    Raises `StorageError` where there is no room, which leaves the database and older backups as they were.
    """
    copy = _folder(path) / f"{label}.db"
    with disk_errors(copy):
        copy.parent.mkdir(exist_ok=True)
        remove_leftovers(copy.parent, copy.name)
        new = unfinished(copy)
        try:
            with closing(sqlite3.connect(path, timeout=_PATIENCE_SECONDS)) as connection:
                connection.execute("VACUUM INTO ?", (str(new),))
            _to_disk(new)
            new.replace(copy)
        finally:
            new.unlink(missing_ok=True)
        for old in _newest_first(path)[_KEPT:]:
            old.unlink(missing_ok=True)
    return copy


def newest_good(path: Path) -> Path | None:
    """Return the newest backup of a database that is whole."""
    return next((copy for copy in _newest_first(path) if _is_whole(copy)), None)


def _folder(path: Path) -> Path:
    return path.with_name(f"{path.name}-backups")


def _newest_first(path: Path) -> list[Path]:
    return sorted(_folder(path).glob("*.db"), key=lambda copy: copy.stat().st_mtime_ns, reverse=True)


def _is_whole(copy: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.Error:
        return False


def _to_disk(path: Path) -> None:
    """See that a file is on the disk before it takes another's place: VACUUM INTO leaves that to the system."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
