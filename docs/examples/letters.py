"""Scanned letters: a zip file of grey PNG images of one size, in folders that are named by the letter."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import BaseModel

from coarsefine import DataError, Dataset, DatasetKind, cached, key_of


class Options(BaseModel):
    """What `[data]` may hold besides `dataset`."""

    path: str | None = None


def load(_options: Options, source: Path | None, say, cache: Path | None) -> Dataset:
    """Return the dataset, from the cache folder if a process has read the same file before."""
    if source is None or not source.is_file():
        raise DataError("The letters need their zip file: name it by path in [data], --data or LETTERS_DATA.")

    def key() -> str:
        return key_of("letters", file=hashlib.sha256(source.read_bytes()).hexdigest())

    return cached(key, lambda: read(source), cache, say)


def read(source: Path) -> Dataset:
    """Return the images of the file, named by their folders."""
    with zipfile.ZipFile(source) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        images = [np.asarray(Image.open(archive.open(name)).convert("L")) for name in names]
    return Dataset.from_arrays(images, [Path(name).parent.name for name in names], name="letters")


LETTERS = DatasetKind(
    title="scanned letters", load=load, options=Options, source="letters.zip", variable="LETTERS_DATA"
)
