"""Files that are written whole or not at all: made beside their place, and put there once they are on the disk."""

import hashlib
import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from coarsefine.search.errors import StorageError

Arrays = Mapping[str, npt.NDArray[Any]]
_DIGEST_BYTES = 32
_TOLD, _ARRAY = "told", "array_"


def write_atomic(path: Path, content: str | bytes) -> None:
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


def write_checksummed(path: Path, told: Mapping[str, Any], arrays: Arrays) -> None:
    """Write what is told (as JSON) and named arrays, in place of the file that was there; raise `OSError`."""
    payload = io.BytesIO()
    named = {_ARRAY + name: array for name, array in arrays.items()}
    np.savez(payload, allow_pickle=False, **{_TOLD: np.array(json.dumps(told))}, **named)
    part = unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(hashlib.sha256(payload.getbuffer()).digest())
            file.write(payload.getbuffer())
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


def read_checksummed(path: Path) -> tuple[dict[str, Any], Arrays] | None:
    """Return what `write_checksummed` wrote, None without a file; raise `ValueError` for a damaged one."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        raise ValueError(f"{path} is not whole")
    with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
        named = {name.removeprefix(_ARRAY): arrays[name] for name in arrays.files if name != _TOLD}
        return json.loads(str(arrays[_TOLD])), named
