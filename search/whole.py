"""Files that are written whole or not at all: made beside their place, and put there once they are on the disk."""

import os
from pathlib import Path

import psutil

from search.errors import StorageError


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, in place of the one that was there; raise `StorageError` where that cannot be done."""
    new = unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with new.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove what killed processes left unfinished of files so named; what a living one is at stays."""
    for leftover in folder.glob(f"{name}-new-*"):
        pid = leftover.name.removesuffix("-journal").rpartition("-")[2]  # SQLite keeps a journal beside its file
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            leftover.unlink(missing_ok=True)


def unfinished(path: Path) -> Path:
    """Return where this process makes a file before it stands at its place."""
    return path.with_name(f"{path.name}-new-{os.getpid()}")


def unwritable(path: Path, error: OSError) -> StorageError:
    """Return what to raise where a place cannot be written."""
    return StorageError(
        f"{path} cannot be written: {error.strerror or error}. Free some space, or name another place to write to."
    )
