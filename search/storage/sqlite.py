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

from coarsefine.search.errors import StorageError
from coarsefine.search.files import remove_leftovers, unfinished
from coarsefine.search.storage import backups
from coarsefine.search.storage.dialect import BUSY_SECONDS
from coarsefine.search.storage.location import disk_errors
from coarsefine.search.storage.tables import NEEDED

_MAGIC = b"SQLite format 3\x00"
_NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smbfs",
    "smb3",
    "fuse.sshfs",
    "lustre",
    "gpfs",
    "ceph",
    "glusterfs",
    "afs",
}


def journal_mode(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str:
    """Return the journal mode that is safe for several connections with this SQLite library."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "wal" if fixed else "delete"


def set_journal(path: Path) -> None:
    """Give a new file its journal mode, and see that it took."""
    mode = journal_mode()
    with disk_errors(path), closing(sqlite3.connect(path)) as connection:
        took = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0]
    if took != mode:
        raise StorageError(f"{path}: SQLite kept the journal mode {took} where {mode} was asked. Use a local disk.")


def heed_journal(path: Path) -> None:
    """Take a file out of WAL that came from a machine whose library may use it, where this one's may not.

    The other way it stays as it is: slower, and safe.
    """
    with disk_errors(path), closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        found = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if found == "wal" and journal_mode() != "wal":
        set_journal(path)


def file_system(path: Path) -> str:
    """Return the kind of file system a file is on or would be on; empty where that is not known.

    Raises `StorageError` for one that is reached through a network: SQLite's locks cannot be relied on there.
    """
    folder = nearest_folder(path)
    mounts = [p for p in psutil.disk_partitions(all=True) if folder.is_relative_to(p.mountpoint)]
    kind = max(mounts, key=lambda p: len(p.mountpoint)).fstype if mounts else ""
    if kind in _NETWORK:
        raise StorageError(f"{path} is on {kind}, and SQLite needs a local disk: give another --storage.")
    return kind


def nearest_folder(path: Path) -> Path:
    """Return the folder of a file, or as much of the way there as exists."""
    folder = path.resolve().parent
    return next(there for there in (folder, *folder.parents) if there.exists())


def check(path: Path, *, writing: bool) -> None:
    """Raise `StorageError` unless the file is a sound Optuna database that may be read, and written if asked."""
    with disk_errors(path):
        _check_file(path, writing=writing)
        try:
            verdict, tables = _look_into(path)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                raise
            verdict, tables = str(error), set()
    if verdict != "ok":
        raise StorageError(f"{path} is damaged ({' '.join(verdict.split())}): {_way_back(path)}.")
    if not tables >= NEEDED:
        raise StorageError(
            f"{path} is a SQLite file of something else: it has no Optuna studies. Give another --storage."
        )


def roll_back(path: Path) -> None:
    """Undo what a killed writer left half done, as any reader does that may write; others cannot read until then."""
    with disk_errors(path), closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master")


def _look_into(path: Path) -> tuple[str, set[str]]:
    """Return SQLite's verdict on a file, and its tables."""
    # Read-write even for readers: a journal left by a killed writer must be rolled back before anything is read.
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
        raise StorageError(f"{path} is empty (0 bytes), so its studies are lost: {_way_back(path)}.")
    if head != _MAGIC:
        raise StorageError(f"{path} is no SQLite file, or a damaged one: {_way_back(path)}.")


def _way_back(path: Path) -> str:
    good = backups.newest_good(path)
    if good is None:
        return "move it away, and put back a copy if you have one, or give another --storage"
    return f"move it away, and put back its newest good backup, {good}"


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield the path of a file to fill; it appears at `path` when whole, unless another process was first.

    A process killed while it fills the file leaves nothing at `path`.
    """
    with disk_errors(path):
        remove_leftovers(path.parent, path.name)
        new = unfinished(path)
        try:
            yield new
            try:
                os.link(new, path)  # unlike rename, link never replaces a file that appeared meanwhile
            except FileExistsError:
                return
        finally:
            new.unlink(missing_ok=True)
