"""Writing the files of a search: atomically, and with a checksum for files that are read back unattended."""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coarsefine.model.atomic_files import atomic_file
from coarsefine.search.errors import StorageError

Arrays = Mapping[str, npt.NDArray[Any]]
_DIGEST_BYTES = 32
_PAYLOAD, _ARRAY = "told", "array_"  # keys of the first versions, kept so that their checkpoints are read


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file, replacing the one that is there; raise `StorageError` where that fails."""
    try:
        with atomic_file(path) as file:
            file.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> StorageError:
    """Return the error to raise for a path that cannot be written."""
    if isinstance(error, IsADirectoryError):
        reason, remedy = "it is a folder", "Name a file in it, or another place to write to"
        return StorageError(f"{path} cannot be written: {reason}. {remedy}.")
    return StorageError(
        f"{path} cannot be written: {error.strerror or error}. Free some space, or choose another place to write to."
    )


def write_checksummed(path: Path, payload: Mapping[str, Any], arrays: Arrays) -> None:
    """Write a payload (as JSON) and named arrays, replacing the file that is there; raise `OSError` where that fails.

    The file need not survive a power failure: its reader sees by the checksum that it is damaged.
    """
    content = io.BytesIO()
    named = {_ARRAY + name: array for name, array in arrays.items()}
    np.savez(content, allow_pickle=False, **{_PAYLOAD: np.array(json.dumps(payload))}, **named)
    with atomic_file(path, durable=False) as file:
        file.write(hashlib.sha256(content.getbuffer()).digest())
        file.write(content.getbuffer())


def read_checksummed(path: Path) -> tuple[dict[str, Any], Arrays] | None:
    """Return what `write_checksummed` wrote, None without a file; raise `ValueError` for a damaged one."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, saved = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(saved).digest() != digest:
        raise ValueError(f"{path} is damaged")
    with np.load(io.BytesIO(saved), allow_pickle=False) as arrays:
        named = {name.removeprefix(_ARRAY): arrays[name] for name in arrays.files if name != _PAYLOAD}
        return json.loads(str(arrays[_PAYLOAD])), named
