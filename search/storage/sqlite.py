"""Checks of a SQLite file before trials are stored in it, and its creation.

A file is created atomically, is checked before training starts, and is never repaired or replaced without the user's
knowledge. The journal mode depends on the library: SQLite 3.7.0 to 3.51.2 can corrupt a WAL database that has several
connections (the WAL-reset bug, https://sqlite.org/wal.html#walresetbug; fixes in 3.50.7 and 3.44.6 too).
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil

from coarsefine.model.atomic_files import remove_leftovers, temporary_file
from coarsefine.search.errors import StorageError
from coarsefine.search.storage import backups
from coarsefine.search.storage.dialect import BUSY_SECONDS
from coarsefine.search.storage.error_messages import disk_errors
from coarsefine.search.storage.tables import NEEDED

_MAGIC = b"SQLite format 3\x00"
_NETWORK = {"nfs", "nfs4", "cifs", "smbfs", "smb3", "fuse.sshfs", "lustre", "gpfs", "ceph", "glusterfs", "afs"}
"""File systems that are reached through a network."""


def journal_mode(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str:
    """Return the journal mode that is safe for several connections in this version of SQLite."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "wal" if fixed else "delete"


def set_journal(path: Path) -> None:
    """Set the journal mode of a new file; raise `StorageError` if SQLite refuses it."""
    mode = journal_mode()
    with disk_errors(path), closing(sqlite3.connect(path)) as connection:
        found = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0]
    if found != mode:
        raise StorageError(f"{path}: SQLite kept the journal mode {found} instead of {mode}. Use a local disk.")


def leave_unsafe_journal(path: Path) -> None:
    """Take a file out of WAL mode if this version of SQLite is not safe in it; another machine may have set it.

    A file in another mode stays as it is: slower, and safe.
    """
    with disk_errors(path), closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        found = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if found == "wal" and journal_mode() != "wal":
        set_journal(path)


def file_system(path: Path) -> str:
    """Return the type of the file system that contains a path; empty if it is not known.

    Raises `StorageError` for one that is reached through a network: SQLite's locks are not reliable there.
    """
    folder = nearest_folder(path)
    mounts = [p for p in psutil.disk_partitions(all=True) if folder.is_relative_to(p.mountpoint)]
    kind = max(mounts, key=lambda p: len(p.mountpoint)).fstype if mounts else ""
    if kind in _NETWORK:
        raise StorageError(f"{path} is on {kind}, and SQLite needs a local disk: give another --storage.")
    return kind


def nearest_folder(path: Path) -> Path:
    """Return the folder of a file, or its nearest parent that exists."""
    folder = path.resolve().parent
    return next(there for there in (folder, *folder.parents) if there.exists())


def check(path: Path, *, writing: bool) -> None:
    """Raise `StorageError` unless the file is an undamaged Optuna database that can be read, or written if asked."""
    with disk_errors(path):
        _check_file(path, writing=writing)
        try:
            verdict, tables = _inspect(path)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                raise
            verdict, tables = str(error), set()
    if verdict != "ok":
        raise StorageError(f"{path} is damaged ({' '.join(verdict.split())}): {_restore_hint(path)}.")
    if not tables >= NEEDED:
        raise StorageError(
            f"{path} is a SQLite file of another program, without Optuna studies. Give another --storage."
        )


def roll_back(path: Path) -> None:
    """Roll back the unfinished transaction of a killed writer, as any connection that may write does.

    Read-only connections cannot read the file until then.
    """
    with disk_errors(path), closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master")


def _inspect(path: Path) -> tuple[str, set[str]]:
    """Return the result of SQLite's quick check of a file, and the names of its tables."""
    # Opened for writing even by readers: a killed writer's journal must be rolled back before anything is read.
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        return verdict, {n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _check_file(path: Path, *, writing: bool) -> None:
    if not path.exists():
        raise StorageError(f"There is no {path}: start a campaign with `coarsefine run`, or give --storage.")
    if not path.is_file():
        raise StorageError(f"{path} is not a file: give --storage the path of a SQLite file, such as studies.db.")
    with path.open("r+b" if writing else "rb") as file:
        head = file.read(len(_MAGIC))
    if not head:
        raise StorageError(f"{path} is empty (0 bytes), so its studies are lost: {_restore_hint(path)}.")
    if head != _MAGIC:
        raise StorageError(f"{path} is not a SQLite file, or it is damaged: {_restore_hint(path)}.")


def _restore_hint(path: Path) -> str:
    good = backups.newest_good(path)
    if good is None:
        return "move it away, and put back a copy if you have one, or give another --storage"
    return f"move it away, and put back its newest good backup, {good}"


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to fill; the file appears at `path` at the end, unless another process created it first.

    A process killed while it fills the file leaves nothing at `path`.
    """
    with disk_errors(path):
        remove_leftovers(path.parent, path.name)
        with temporary_file(path) as new:
            yield new
            with suppress(FileExistsError):
                os.link(new, path)  # unlike rename, link never replaces a file that appeared meanwhile
