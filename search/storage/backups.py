"""Backups of a SQLite file, one for each finished stage, to restore when the file is damaged."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from coarsefine.model.atomic_files import remove_leftovers, temporary_file
from coarsefine.search.storage.error_messages import disk_errors

_KEPT = 5
_PATIENCE_SECONDS = 60


def back_up(path: Path, label: str) -> Path:
    """Copy a live database, as one transaction sees it, into its folder of backups; return the copy.

    Other processes can read meanwhile; writers wait for the copy. Only the newest five backups are kept.

    Raises `StorageError` where there is no room, and leaves the database and older backups as they were.
    """
    copy = _folder(path) / f"{label}.db"
    with disk_errors(copy):
        copy.parent.mkdir(exist_ok=True)
        remove_leftovers(copy.parent, copy.name)
        with temporary_file(copy) as new:
            with closing(sqlite3.connect(path, timeout=_PATIENCE_SECONDS)) as connection:
                connection.execute("VACUUM INTO ?", (str(new),))
            with new.open("rb+") as file:  # VACUUM INTO leaves it to the system when the copy reaches the disk
                os.fsync(file.fileno())
            new.replace(copy)
        for old in _newest_first(path)[_KEPT:]:
            old.unlink(missing_ok=True)
    return copy


def newest_good(path: Path) -> Path | None:
    """Return the newest backup of a database that is undamaged; None if there is none."""
    return next((copy for copy in _newest_first(path) if _is_undamaged(copy)), None)


def _folder(path: Path) -> Path:
    return path.with_name(f"{path.name}-backups")


def _newest_first(path: Path) -> list[Path]:
    return sorted(_folder(path).glob("*.db"), key=lambda copy: copy.stat().st_mtime_ns, reverse=True)


def _is_undamaged(copy: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.Error:
        return False
