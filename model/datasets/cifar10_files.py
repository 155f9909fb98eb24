"""Read one file of CIFAR-10: the official binary, MATLAB and Python formats, distinguished by the file's suffix.

The Python files are pickles, and a pickle is a program: loading one may run any code. So it is never loaded.
`pickletools.genops` lists its opcodes without executing them, and the pixels and labels are found among these.
"""

import io
import pickletools
from collections.abc import Iterator
from itertools import pairwise, takewhile
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from coarsefine.model.datasets.split import Images
from coarsefine.model.errors import DataError

BatchName = Literal["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
BATCHES: tuple[BatchName, ...] = get_args(BatchName)
IMAGES = 10_000
"""Number of images in every official batch."""
_PIXELS = 3072
_CLASSES = 10


def read_batch(name: str, content: bytes) -> Images:
    """Return the 10,000 images of a file. `name` gives its format and appears in error messages.

    Raises `DataError` for anything but a complete official batch.
    """
    if name.endswith(".bin"):
        return _read_binary(name, content)
    return _read_matlab(name, content) if name.endswith(".mat") else _read_python(name, content)


def _read_binary(name: str, content: bytes) -> Images:
    expected = IMAGES * (_PIXELS + 1)
    if len(content) != expected:
        raise DataError(
            f"{name} has {len(content):,} bytes instead of {expected:,}: it is cut off or damaged; get it again."
        )
    records = np.frombuffer(content, np.uint8).reshape(IMAGES, _PIXELS + 1)
    return _checked(name, records[:, 1:], records[:, 0])


def _read_matlab(name: str, content: bytes) -> Images:
    from scipy.io import loadmat  # noqa: PLC0415 - only needed here

    try:
        arrays = loadmat(io.BytesIO(content), variable_names=["data", "labels"])  # type: ignore[arg-type]  # the stubs lack file objects
        data, labels = np.asarray(arrays["data"]), np.asarray(arrays["labels"])
    except Exception as error:  # damaged files make SciPy raise anything, from struct.error to TypeError
        raise DataError(f"{name} is not a complete CIFAR-10 MATLAB file ({error!r}): get it again.") from error
    return _checked(name, data, labels.reshape(-1))


def _read_python(name: str, content: bytes) -> Images:
    try:
        tokens = list(_literals(content))
    except Exception as error:  # genops raises ValueError, IndexError, UnicodeDecodeError … if it is not a pickle
        raise DataError(f"{name} is not a complete CIFAR-10 Python file ({str(error)[:200]}): get it again.") from error
    pixels, labels = _pixels(tokens), _labels(tokens)
    if pixels is None or labels is None:
        raise DataError(
            f"{name} does not hold {IMAGES:,} labelled images: it is not a CIFAR-10 Python file; get it again."
        )
    return _checked(name, pixels, np.array(labels))


def _literals(content: bytes) -> Iterator[Any]:
    """Yield a pickle's strings as bytes, its numbers and its truth values.

    Protocol 2 of Python 3 pickles bytes as text followed by the name of its encoding, latin1, which is left out.
    """
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in _TRUTHS:
            yield _TRUTHS[opcode.name]
        elif isinstance(argument, str) and opcode.name not in {"GLOBAL", "INST"} and argument != "latin1":
            yield argument.encode("latin-1", "replace")
        elif isinstance(argument, bytes | bytearray | int) and opcode.name not in _NOT_VALUES:
            yield bytes(argument) if isinstance(argument, bytearray) else argument


_TRUTHS = {"NEWTRUE": True, "NEWFALSE": False}
_NOT_VALUES = {"PROTO", "FRAME", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET"}


def _pixels(tokens: list[Any]) -> npt.NDArray[np.uint8] | None:
    """Return the array (10,000, 3072), or None. Its shape, type and order are found near its bytes."""
    is_data = (isinstance(token, bytes) and len(token) == IMAGES * _PIXELS for token in tokens)
    place = next((place for place, found in enumerate(is_data) if found), None)
    if place is None:
        return None
    before, after = tokens[max(place - _NEAR, 0) : place], tokens[place + 1 : place + 1 + _NEAR]
    order = _order(before, after)
    if order is None or not any((IMAGES, _PIXELS) in pairwise(near) and b"u1" in near for near in (before, after)):
        return None
    return np.frombuffer(tokens[place], np.uint8).reshape((IMAGES, _PIXELS), order=order)


_NEAR = 14
"""Tokens around an array's bytes among which NumPy writes its shape, type and order."""


def _order(before: list[Any], after: list[Any]) -> Literal["C", "F"] | None:
    """Return the order in memory: a truth value before the bytes (True: Fortran) or in protocol 5 a letter after them.

    Read in the wrong order, an array would pass every other check with its pixels scrambled.
    """
    if before and isinstance(before[-1], bool):
        return "F" if before[-1] else "C"
    return next(("C" if token == b"C" else "F" for token in after if token in {b"C", b"F"}), None)


def _labels(tokens: list[Any]) -> list[int] | None:
    """Return the 10,000 numbers after the key `labels`, or None if there are not as many."""
    if b"labels" not in tokens:
        return None
    start = tokens.index(b"labels") + 1
    found = list(takewhile(lambda token: isinstance(token, int), tokens[start : start + IMAGES + 1]))
    return found if len(found) == IMAGES else None


def _checked(name: str, pixels: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Images:
    shapes = (pixels.shape, labels.shape)
    if shapes != ((IMAGES, _PIXELS), (IMAGES,)) or pixels.dtype != np.uint8 or labels.dtype.kind not in "iu":
        raise DataError(
            f"{name} holds pixels {pixels.shape} {pixels.dtype} and labels {labels.shape} {labels.dtype} "
            f"instead of ({IMAGES}, {_PIXELS}) uint8 and ({IMAGES},) integers: it is not a CIFAR-10 batch; "
            "get it again."
        )
    wrong = (labels < 0) | (labels >= _CLASSES)
    if wrong.any():
        place = int(wrong.argmax())
        raise DataError(
            f"{name}: image {place} has the label {labels[place]}, not 0 to {_CLASSES - 1}: get the file again."
        )
    return Images(np.ascontiguousarray(pixels), labels.astype(np.uint8))
