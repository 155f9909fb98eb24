"""Reading `.npz` files from anywhere: nothing in them is unpickled, so nothing in them is executed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def read_npz(path: Path) -> Mapping[str, npt.NDArray[Any]]:
    """Return the arrays of a file by name; raise `ValueError` with the reason if it cannot be read."""
    try:
        with path.open("rb") as file:
            saved = np.load(file, allow_pickle=False)
            if isinstance(saved, np.lib.npyio.NpzFile):
                with saved:
                    return {name: np.asarray(saved[name]) for name in saved.files}
    except Exception as error:  # of NumPy, zipfile and its decompressors, which list no errors for damaged bytes
        raise ValueError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
    raise ValueError("it holds one array without a name")
