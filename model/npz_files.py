"""Reading `.npz` files from anywhere: nothing in them is unpickled, so nothing in them is executed."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_UNREADABLE = (
    OSError, ValueError, TypeError, KeyError, EOFError, OverflowError, MemoryError, RuntimeError, zipfile.BadZipFile,
)  # fmt: skip
"""Errors of NumPy and zipfile for other files; `RuntimeError` for an encrypted one."""


def read_npz(path: Path) -> Mapping[str, npt.NDArray[Any]]:
    """Return the arrays of a file by name; raise `ValueError` with the reason if it cannot be read."""
    try:
        with path.open("rb") as file:
            saved = np.load(file, allow_pickle=False)
            if isinstance(saved, np.lib.npyio.NpzFile):
                with saved:
                    return {name: np.asarray(saved[name]) for name in saved.files}
    except _UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ValueError(reason) from error
    raise ValueError("it holds one array without a name")
