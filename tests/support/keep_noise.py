"""Cache images of noise in a folder, as a process of its own; print its messages and the digest of the images."""

import hashlib
import sys
from pathlib import Path

import numpy as np

from coarsefine.model.datasets import Dataset, Images
from coarsefine.model.datasets.cache import cached
from coarsefine.model.datasets.split import Raw, normalise

KEY = "noise"


def noise(seed: int = 1, images: int = 4000) -> Dataset:
    """Return three parts of equal size, of 8 × 8 × 8 images."""
    rng = np.random.default_rng(seed)
    parts = [
        Images(rng.integers(0, 256, (images, 512), dtype=np.uint8), rng.integers(0, 3, images, dtype=np.uint8))
        for _ in range(3)
    ]
    return normalise(Raw("noise", ("a", "b", "c"), (8, 8, 8), 255.0, *parts), {"seed": seed})


def content(dataset: Dataset) -> str:
    """Return the SHA-256 of a dataset's numbers, name, classes, shape, scale, digest and description."""
    called = (dataset.name, dataset.classes, dataset.shape, dataset.scale, dataset.digest, dataset.description)
    digest = hashlib.sha256(repr(called).encode())
    parts = (dataset.train, dataset.validation, dataset.test)
    for array in (dataset.mean, *(array for part in parts for array in (part.x, part.y))):
        digest.update(f"{array.shape} {array.dtype}".encode() + array.tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    print("ready", flush=True)  # noqa: T201 - the test waits for it
    sys.stdin.readline()
    got = cached(lambda: KEY, noise, Path(sys.argv[1]), lambda sentence: print("said", sentence))  # noqa: T201
    print("got", content(got), "mapped" if got.mapped_file else "in memory")  # noqa: T201
