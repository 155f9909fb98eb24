"""A dataset as one file that is mapped into memory: all processes that open it share its pages.

    prefix     magic, version, length of the header, SHA-256 of the header
    header     JSON: name and shape of the dataset, counts of its images, SHA-256 of the content
    content    the arrays, each starting on a page of its own, up to the end of the file

The offsets of all arrays and the length of the file follow from shapes and counts, so that no stored offset can be
wrong. The header contains the hash of the content, and the prefix the hash of the header, which identifies
every byte after it.
"""

import hashlib
import json
import math
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import IO

import numpy as np

from coarsefine.model.datasets.split import Counts, Dataset, MappedFile, Part
from coarsefine.model.errors import CacheError

VERSION = 1
"""Version of this format. Increase it when files of the old format must not be read as new ones."""
_MAGIC = b"Coarsefine data\n"
_PREFIX = struct.Struct("<16sII32s")
_LONGEST_HEADER = 2**20
"""Bytes: room for the names of a thousand classes."""
_TOO_MANY = 2**32
_MOST_AXES = 4
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class _Header:
    name: str
    classes: list[str]
    shape: list[int]
    scale: float
    digest: str
    description: str
    images: list[int]
    """Counts of the training, validation and test part."""
    content: str
    """SHA-256 of everything after the header."""

    def is_valid(self) -> bool:
        """Return whether every field has its type and a possible value; it may still describe another content."""
        texts = [self.name, self.digest, self.description, self.content, *self.classes]
        counts = [*self.shape, *self.images]
        return (
            all(type(text) is str for text in texts)
            and all(type(count) is int and 0 < count < _TOO_MANY for count in counts)
            and len(self.images) == len(Counts._fields)
            and len(self.shape) <= _MOST_AXES
            and type(self.scale) is float
            and math.isfinite(self.scale)
            and self.scale > 0
        )

    def arrays(self) -> list[tuple[tuple[int, ...], type]]:
        """Return shape and type of the arrays in order: the mean, then x and y of each part."""
        d = math.prod(self.shape)
        pairs = [[((n, d), np.float32), ((n,), np.int64)] for n in self.images]
        return [((d,), np.float32), *(array for pair in pairs for array in pair)]

    def offsets(self, start: int) -> list[int]:
        """Return the offset of each array, and last that of the end of the file."""
        lengths = [math.prod(shape) * np.dtype(kind).itemsize for shape, kind in self.arrays()]
        return list(accumulate(map(_whole_pages, lengths), initial=start))


def content_sha256(dataset: Dataset) -> str:
    """Return the SHA-256 of a dataset's arrays as they are written."""
    content = hashlib.sha256()
    for piece in _pieces(dataset):
        content.update(piece)
    return content.hexdigest()


def write_mapped(path: Path, dataset: Dataset) -> None:
    """Write a new file and flush it to the disk; raise `OSError` if that fails."""
    header = _Header(
        name=dataset.name, classes=list(dataset.classes), shape=list(dataset.shape), scale=float(dataset.scale),
        digest=dataset.digest, description=dataset.description, images=list(dataset.counts),
        content=content_sha256(dataset),
    )  # fmt: skip
    text = json.dumps(asdict(header)).encode()
    with path.open("xb") as file:
        file.write(_PREFIX.pack(_MAGIC, VERSION, len(text), hashlib.sha256(text).digest()) + text)
        file.write(bytes(_start(text) - file.tell()))
        for piece in _pieces(dataset):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def open_mapped(path: Path, header_sha256: str | None = None) -> Dataset:
    """Return the dataset in a file, its arrays read-only and mapped, after checking every byte.

    With a `header_sha256` only the header is checked: it must be the one of a file that another process has checked
    entirely.

    Raises `CacheError` for a file that is damaged or no dataset, and `OSError` for one that is absent or unreadable.
    """
    if path.exists() and not path.is_file():  # opening a pipe would block forever
        raise CacheError(f"{path} is not a file.")
    with path.open("rb") as file:
        header, start, found = _read_header(path, file)
        end = header.offsets(start)[-1]
        size = os.fstat(file.fileno()).st_size
        if size != end:
            raise CacheError(f"{path} has {size:,} bytes instead of {end:,}: it is cut off or damaged.")
        if header_sha256 not in {None, found}:
            raise CacheError(f"{path} is not the file that was checked.")
        if header_sha256 is None and hashlib.file_digest(file, "sha256").hexdigest() != header.content:
            raise CacheError(f"{path} is damaged: the SHA-256 of its content is not the one it should have.")
        pages = mmap.mmap(file.fileno(), end, access=mmap.ACCESS_READ)
    return _dataset(header, pages, start, MappedFile(path.absolute(), found))


def _read_header(path: Path, file: IO[bytes]) -> tuple[_Header, int, str]:
    """Return the header, the content's offset and the header's SHA-256; leave the file at the start of the content."""
    prefix = file.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size or not prefix.startswith(_MAGIC):
        raise CacheError(f"{path} is not a data file of Coarsefine, or is cut off.")
    _, version, length, header_sha256 = _PREFIX.unpack(prefix)
    if version != VERSION:
        raise CacheError(f"{path} has the form {version}, and this version of Coarsefine reads form {VERSION}.")
    text = file.read(min(length, _LONGEST_HEADER))
    if hashlib.sha256(text).digest() != header_sha256:
        raise CacheError(f"{path} is damaged: the SHA-256 of its header is not the one it should have.")
    try:
        header = _Header(**json.loads(text))
        valid = header.is_valid()
    except (ValueError, TypeError, RecursionError) as error:
        raise CacheError(f"{path} has a header that cannot be read.") from error
    if not valid:
        raise CacheError(f"{path} has a header with impossible values.")
    start = _start(text)
    file.seek(start)
    return header, start, header_sha256.hex()


def _dataset(header: _Header, pages: mmap.mmap, start: int, file: MappedFile) -> Dataset:
    # Plain arrays over the pages: every slice of np.memmap costs a Python call.
    mean, *arrays = (
        np.ndarray(shape, kind, buffer=pages, offset=offset)
        for (shape, kind), offset in zip(header.arrays(), header.offsets(start)[:-1], strict=True)
    )
    train, validation, test = map(Part, arrays[::2], arrays[1::2])
    return Dataset(
        name=header.name, classes=tuple(header.classes), shape=tuple(header.shape), train=train, validation=validation,
        test=test, mean=mean, scale=header.scale, digest=header.digest, description=header.description,
        mapped_file=file,
    )  # fmt: skip


def _pieces(dataset: Dataset) -> Iterator[memoryview]:
    """Yield the content: each array, then the bytes that fill its last page."""
    parts = (dataset.train, dataset.validation, dataset.test)
    for array in (dataset.mean, *(array for part in parts for array in (part.x, part.y))):
        yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        yield memoryview(bytes(_whole_pages(array.nbytes) - array.nbytes))


def _start(text: bytes) -> int:
    return _whole_pages(_PREFIX.size + len(text))


def _whole_pages(length: int) -> int:
    return -(-length // _PAGE) * _PAGE
