"""Files that appear whole or not at all: each is written under a temporary name, then put in its place.

A temporary name contains the machine and process that write the file and a random part, so that containers that share a
volume never write to the same file, and a process that was killed leaves a file that can be recognised.
"""

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from coarsefine.model.process_identity import machine_id

_ABANDONED_SECONDS = 3600
"""Writing takes seconds: a temporary file unchanged for this long is abandoned, even if its process seems to run."""

_TEMPORARY = (
    re.compile(r"(?P<name>.+)-new-(?P<machine>[0-9a-f]{12})-(?P<pid>\d+)-[0-9a-f]{8}(-journal|-wal|-shm)?", re.DOTALL),
    # A name that earlier versions gave, with nothing of the machine in it.
    re.compile(r"(?P<name>.+\.data)-(?P<pid>\d+)-[0-9a-f]+\.part", re.DOTALL),
)
"""SQLite keeps a journal next to a file that it writes."""
_EARLIER = re.compile(r"(?P<name>.+)-new-(?P<pid>\d+)(-journal)?", re.DOTALL)
"""Another name that earlier versions gave. Files of other programs can have such a name, too."""


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name next to a path; a file that still has that name at the end is removed."""
    new = path.with_name(f"{path.name}-new-{_machine_tag()}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        yield new
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Yield a file to write; at the end it replaces the one at `path`, unless an exception is raised.

    A `durable` file is on the disk before it replaces another, so that a power failure leaves one or the other. The
    folder is created if it is missing. Raises `OSError` where the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(path) as new:
        with new.open("wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        new.replace(path)


def remove_leftovers(folder: Path, *names: str) -> None:
    """Remove the temporary files that dead processes left in a folder, or with `names` only those for these files.

    Files of running processes and of other machines stay until they are old. So does a file that cannot be removed,
    for example another user's.
    """
    forms = (*_TEMPORARY, _EARLIER) if names else _TEMPORARY
    for path in folder.glob("*"):
        found = next(filter(None, (form.fullmatch(path.name) for form in forms)), None)
        if found and (not names or found["name"] in names):
            with suppress(OSError):
                if _is_abandoned(path, found.groupdict().get("machine"), int(found["pid"])):
                    path.unlink()


def _is_abandoned(path: Path, machine: str | None, pid: int) -> bool:
    if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
        return True
    return machine in {None, _machine_tag()} and not psutil.pid_exists(pid)


def _machine_tag() -> str:
    return hashlib.sha256(machine_id().encode()).hexdigest()[:12]
