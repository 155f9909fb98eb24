"""Files of arrays that are whole or not there: a digest before the content tells one that was torn from a whole one.

For what can be made again, such as a training's weights amid it: nothing is forced to the disk. Nothing is pickled.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from search.whole import unfinished

Arrays = Mapping[str, npt.NDArray[Any]]
_DIGEST_BYTES = 32
_TOLD, _ARRAY = "told", "array_"


def write_sealed(path: Path, told: Mapping[str, Any], arrays: Arrays) -> None:
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


def read_sealed(path: Path) -> tuple[dict[str, Any], Arrays] | None:
    """Return what `write_sealed` wrote; None where there is no file. Raises `ValueError` for one that is not whole."""
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
