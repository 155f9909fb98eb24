"""What is the matter with a place where a SQLite file is, or is to be: found out without opening the file."""

import os
import shlex
from pathlib import Path

import psutil

from coarsefine.search.errors import StorageError

_LOCKS = Path("/proc/locks")
_LONGEST_SUFFIX = 48
"""The most bytes that are added to the name of a file for those that are kept beside it for a while."""
_FIELDS = 8
"""Fields of a line of `_LOCKS`: number, kind, mode, access, process, device with inode, start and end."""


def refuse_unusable(path: Path) -> None:
    """Raise `StorageError` if a file can neither be at a path nor be made there."""
    if trouble := trouble_with(path):
        raise StorageError(trouble)


def trouble_with(path: Path) -> str | None:
    """Return what keeps a file from being made, read and written, with the remedy; None if nothing is seen.

    Raises `OSError` for a path that no file system takes.
    """
    if link := broken_link(path):
        return link
    if path.is_dir():
        return f"{path} is not a file: give --storage the path of a SQLite file, such as studies.db."
    if not path.parent.is_dir():
        return _trouble_with_parents(path.parent)
    return _trouble_with_name(path) or _trouble_with_access(path)


def broken_link(path: Path) -> str | None:
    """Return that a path is a link to no file, and what to do; None if it is not."""
    if path.is_symlink() and not path.exists():
        leads = f"{path} is a link to {path.readlink()}, where there is no file"
        return f"{leads}: remove the link, or give another --storage."
    return None


def _trouble_with_parents(folder: Path) -> str:
    above = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not above.is_dir():
        return f"{above} is not a folder, so there can be no file in it: give another --storage."
    return f"There is no folder {folder}: make it (mkdir -p {shlex.quote(str(folder))}), or give another --storage."


def _trouble_with_name(path: Path) -> str | None:
    """Return that the name of a new file is too long, for the names of files beside it, too."""
    if not hasattr(os, "pathconf") or path.exists():
        return None
    most = os.pathconf(path.parent, "PC_NAME_MAX") - _LONGEST_SUFFIX
    if len(os.fsencode(path.name)) <= most:
        return None
    return f"{path}: the name of the file is too long: give a --storage whose name has at most {most} bytes."


def _trouble_with_access(path: Path) -> str | None:
    folder = path.parent
    refused = path.exists() and not os.access(path, os.R_OK | os.W_OK)
    if not refused and os.access(folder, os.W_OK | os.X_OK):
        return None
    if _is_mounted_read_only(folder):
        return f"The file system of {folder} is mounted read-only: give another --storage."
    if refused:
        return f"{path}: Permission denied. Grant yourself read and write access to it, or give another --storage."
    return (
        f"{folder} cannot be written, and SQLite keeps its journal there: grant yourself write access to the folder, "
        "or give another --storage."
    )


def _is_mounted_read_only(folder: Path) -> bool:
    return hasattr(os, "ST_RDONLY") and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def lock_holder(path: Path) -> str | None:
    """Return the process of this machine that has locked a SQLite file, in words; None if it is not known.

    That is one that writes. If this process writes itself, it waits for those that read, until it can commit.
    """
    try:
        files = {_inode_of(file) for file in (path, path.with_name(f"{path.name}-shm")) if file.exists()}
        lines = [line.split() for line in _LOCKS.read_text("ascii", "replace").splitlines()]
    except OSError:  # not Linux
        return None
    held = [line for line in lines if len(line) == _FIELDS and line[1] == "POSIX" and line[5] in files]
    writers = dict.fromkeys(int(line[4]) for line in held if line[3] == "WRITE")
    processes = dict.fromkeys(int(line[4]) for line in held) if os.getpid() in writers else writers
    others = (process for process in processes if process not in {os.getpid(), -1, 0})
    return next(filter(None, map(_described, others)), None)


def _inode_of(file: Path) -> str:
    found = file.stat()
    return f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"


def _described(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        stopped = process.status() == psutil.STATUS_STOPPED
        return f"process {pid} ({process.name()}{', which is stopped' if stopped else ''})"
    except psutil.Error:
        return None
