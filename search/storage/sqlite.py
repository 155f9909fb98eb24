"""A SQLite file: its checks before trials are stored in it, its creation, and its backups.

A file is created atomically, is checked before training starts, and is never repaired or replaced without the user's
knowledge. The journal mode depends on the library: SQLite 3.7.0 to 3.51.2 can corrupt a WAL database that has several
connections (the WAL-reset bug, https://sqlite.org/wal.html#walresetbug; fixes in 3.50.7 and 3.44.6 too).

Only SQLite opens a database. With POSIX, a process that closes a file loses all locks that it holds on it. So if we
read the file ourselves, other processes could write during a transaction of another thread.
"""

import errno
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from coarsefine.model.atomic_files import remove_leftovers, temporary_file
from coarsefine.search.errors import StorageError
from coarsefine.search.storage.database import storage_errors
from coarsefine.search.storage.dialect import BUSY_SECONDS
from coarsefine.search.storage.file_state import broken_link
from coarsefine.search.storage.lock_wait import lock_sentence, patiently
from coarsefine.search.storage.tables import NEEDED

_NETWORK = {"nfs", "nfs4", "cifs", "smbfs", "smb3", "fuse.sshfs", "lustre", "gpfs", "ceph", "glusterfs", "afs"}
"""File systems that are reached through a network."""
_KEPT_BACKUPS = 5
_DELETED = "+deleted+"
"""Is in the name of a backup made before a campaign was deleted, which is kept."""
_ALWAYS_COPIED = 16_000_000
"""Bytes of a file that is copied after each stage."""
_COPIED_A_SECOND, _COPY_FACTOR = 100_000_000, 20
"""Bytes that a slow disk copies in a second, and the least time between copies as a multiple of the time of one."""
_undamaged: deque[tuple[int, ...]] = deque(maxlen=16)
"""The versions of files in which this process has found no damage."""


def journal_mode(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str:
    """Return the journal mode that is safe for several connections in this version of SQLite."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "wal" if fixed else "delete"


def set_journal(path: Path) -> None:
    """Set the journal mode of a new file; raise `StorageError` if SQLite refuses it."""
    mode = journal_mode()
    found = _first_value(path, f"PRAGMA journal_mode = {mode}")
    if found != mode:
        raise StorageError(f"{path}: SQLite kept the journal mode {found} instead of {mode}. Use a local disk.")


def leave_unsafe_journal(path: Path) -> None:
    """Take a file out of WAL mode if this version of SQLite is not safe in it; another machine may have set it.

    A file in another mode stays as it is: slower, and safe.
    """
    if _first_value(path, "PRAGMA journal_mode") == "wal" and journal_mode() != "wal":
        set_journal(path)


def file_system(path: Path) -> str:
    """Return the type of the file system that contains a path; empty if it is not known.

    Raises `StorageError` for one that is reached through a network: SQLite's locks are not reliable there.
    """
    folder = nearest_existing(Path(os.path.realpath(path)).parent)  # Path.resolve raises for a link to itself
    mounts = [p for p in psutil.disk_partitions(all=True) if folder.is_relative_to(p.mountpoint)]
    kind = max(mounts, key=lambda p: len(p.mountpoint)).fstype if mounts else ""
    if kind in _NETWORK:
        raise StorageError(f"{path} is on {kind}, and SQLite needs a local disk: give another --storage.")
    return kind


def nearest_existing(folder: Path) -> Path:
    """Return a folder, or its nearest parent that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def check(path: Path, *, writing: bool, whole: bool = True, say: Callable[[str], object] = lambda _: None) -> None:
    """Raise `StorageError` unless the file is an undamaged Optuna database that can be read, or written if asked.

    It is read as a whole to find damage, unless this process has found none and the file has not changed since. A
    worker does without (`whole`): the process that starts it has checked the file. `say` is called with a sentence if
    another process has locked it for more than some seconds.
    """
    with storage_errors(path):
        _check_file(path, writing=writing)
        before = _version_of(path)
        verdict, tables = _inspect(path, whole=whole and before not in _undamaged, say=say)
        if whole and verdict == "ok" and _version_of(path) == before:
            _undamaged.append(before)
    if verdict is None:
        raise StorageError(f"{path} is not a SQLite file, or it is damaged: {_restore_hint(path)}.")
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
    _first_value(path, "SELECT count(*) FROM sqlite_master")


def _first_value(path: Path, statement: str) -> Any:
    """Execute a statement in a file, opened for writing; return the first value of its first row."""
    with storage_errors(path), closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
        return connection.execute(statement).fetchone()[0]


def _version_of(path: Path) -> tuple[int, ...]:
    """Return numbers that change when a file is replaced or written."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _inspect(path: Path, *, whole: bool, say: Callable[[str], object]) -> tuple[str | None, set[str]]:
    """Return the result of SQLite's quick check of a file, None for a file of another kind; and its tables' names.

    Without `whole` the result is "ok" if its tables can be read.
    """
    # Opened for writing even by readers: a killed writer's journal must be rolled back before anything is read.
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            query = connection.cursor().execute
            names = "SELECT name FROM sqlite_master WHERE type = 'table'"
            tables = patiently(
                connection, lambda: query(names).fetchall(), lambda: say(lock_sentence(path)), BUSY_SECONDS
            )
            verdict = query("PRAGMA quick_check(1)").fetchone()[0] if whole else "ok"
            return verdict, {name for (name,) in tables}
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            return None, set()
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:  # without the extended code
            raise
        return str(error), set()


def _check_file(path: Path, *, writing: bool) -> None:
    if not path.exists():
        if link := broken_link(path):
            raise StorageError(link)
        raise StorageError(f"There is no {path}: start a campaign with `coarsefine run`, or give --storage.")
    if not path.is_file():
        raise StorageError(f"{path} is not a file: give --storage the path of a SQLite file, such as studies.db.")
    if not path.stat().st_size:
        raise StorageError(f"{path} is empty (0 bytes), so its studies are lost: {_restore_hint(path)}.")
    if not os.access(path, os.R_OK | os.W_OK if writing else os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _restore_hint(path: Path) -> str:
    good = next(good_backups(path), None)
    if good is None:
        return "move it away, and put back a copy if you have one, or give another --storage"
    return f"move it away, and put back its newest good backup, {good}"


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to fill; the file appears at `path` at the end, unless another process created it first.

    A process killed while it fills the file leaves nothing at `path`.
    """
    with storage_errors(path), temporary_file(path) as new:
        yield new
        with suppress(FileExistsError):
            os.link(new, path)  # unlike rename, link never replaces a file that appeared meanwhile


def back_up(path: Path, label: str) -> Path:
    """Copy a live database, as one transaction sees it, into its folder of backups; return the copy.

    Other processes can read meanwhile; writers wait for the copy. Only the newest five backups are kept, and those made
    before deletions.

    Raises `StorageError` where there is no room, and leaves the database and older backups as they were.
    """
    copy = backup_of(path, label)
    with storage_errors(copy):
        copy.parent.mkdir(exist_ok=True)
        remove_leftovers(copy.parent, copy.name)
        with temporary_file(copy) as new:
            _copy(path, new)
            new.replace(copy)
        for old in [copy for copy in _newest_first(path) if _DELETED not in copy.name][_KEPT_BACKUPS:]:
            old.unlink(missing_ok=True)
    return copy


def label_of_deletion(campaign: str) -> str:
    """Return the label of the backup to make now, before a campaign is deleted; that of a stage's has no time."""
    return f"{campaign.replace(os.sep, '_')}{_DELETED}{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"


def backup_of(path: Path, label: str) -> Path:
    """Return where the backup of a file with a label is."""
    return _backups(path) / f"{label}.db"


def _copy(path: Path, new: Path) -> None:
    """Copy a database page by page in one transaction, in a third of the time of `VACUUM INTO`."""
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as source, closing(sqlite3.connect(new)) as target:
        target.execute("PRAGMA synchronous = OFF")
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, which can be read without writing beside it
    with new.open("rb+") as file:
        os.fsync(file.fileno())


def backup_pays(path: Path, now: float | None = None) -> bool:
    """Return whether a file should be copied at this moment, seconds since 1970: if small always, else not too often.

    Copying should take at most a twentieth of the time, also where many short stages end in a large file.
    """
    with storage_errors(path):
        size = path.stat().st_size
    newest = None if size <= _ALWAYS_COPIED else next(iter(_newest_first(path).values()), None)
    if newest is None:
        return True
    age = (time.time() if now is None else now) - newest / 1e9
    return age < 0 or age >= _COPY_FACTOR * size / _COPIED_A_SECOND


def good_backups(path: Path) -> Iterator[Path]:
    """Yield the undamaged backups of a file, the newest first."""
    return (copy for copy in _newest_first(path) if _is_undamaged(copy))


def _backups(path: Path) -> Path:
    return path.with_name(f"{path.name}-backups")


def _newest_first(path: Path) -> dict[Path, int]:
    """Return the backups of a file, the newest first, with the nanoseconds since 1970 at which each was made."""
    made = {}
    for copy in _backups(path).glob("*.db"):
        with suppress(FileNotFoundError):  # another process may remove the oldest at this moment
            made[copy] = copy.stat().st_mtime_ns
    return dict(sorted(made.items(), key=lambda item: item[1], reverse=True))


def _is_undamaged(copy: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.Error:
        return False
