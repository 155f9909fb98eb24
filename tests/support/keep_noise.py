"""Cache images of noise in a folder, as a process of its own, which may run out of room or be killed."""

import hashlib
import resource
import signal
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


def keep(folder: Path) -> None:
    """Cache the images; print the messages and the digest of the images."""
    said: list[str] = []
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    got = cached(lambda: KEY, noise, folder, said.append)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # stdout is a file, too
    for sentence in said:
        print("said", sentence)  # noqa: T201
    print("got", content(got), "mapped" if got.mapped_file else "in memory", flush=True)  # noqa: T201


def keep_without_room(folder: Path, size: int) -> None:
    """Cache the images where no file can grow beyond a size in bytes."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    keep(folder)


def keep_until_size(folder: Path, size: int) -> None:
    """Cache the images, and be killed by the system when a file has this size in bytes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # which Python ignores
    keep_without_room(folder, size)


def keep_until_used(folder: Path, seconds: float) -> None:
    """Cache the images, and be killed by the system after this many seconds of processor time."""
    signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends a process that has no handler
    keep(folder)
