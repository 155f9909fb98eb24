"""The task that all contenders are timed on: one network, one setting, one set of images."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from coarsefine.model.datasets import Dataset, Images, Part, Selection, load_cifar10, load_digits

CLASSES, PIXELS, BATCH_IMAGES = 10, 3072, 10_000
_CONFUSED = 0.4
"""Fraction of synthetic labels that are drawn at random: without them the loss falls to zero and cannot be compared."""


@dataclass(frozen=True, slots=True)
class Task:
    """A training: the images in a folder of arrays, the network's size, and one trial's setting."""

    arrays: str
    images: int
    """A multiple of `batch`, so that every library sees whole mini-batches."""
    hidden: int = 50
    batch: int = 100
    eta: float = 0.02
    lam: float = 1e-4
    rho: float = 0.9
    inputs: int = PIXELS

    @property
    def flops(self) -> float:
        """Return the number of operations of one epoch of one trial, counting only the four large products.

        Forward and gradient, W1 (m, d) and W2 (C, m), two operations for each weight and image.
        """
        return epoch_flops(self.images, self.hidden, self.inputs)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, for another process."""
        return asdict(self)


def epoch_flops(images: int, hidden: int, inputs: int = PIXELS) -> float:
    """Return n · (4·m·d + 4·C·m)."""
    return 4.0 * images * hidden * (inputs + CLASSES)


@dataclass(frozen=True, slots=True)
class Arrays:
    """Training and validation images x (n, d), float32, with labels y (n,), int64."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]
    x_validation: npt.NDArray[np.float32]
    y_validation: npt.NDArray[np.int64]

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """Convert a dataset."""
        return cls(data.train.x, data.train.y, data.validation.x, data.validation.y)

    @classmethod
    def load(cls, folder: str, images: int) -> Self:
        """Read the arrays that `save` wrote, with the first `images` training images."""
        x, y, x_validation, y_validation = (
            np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in cls.__slots__
        )
        return cls(*(np.array(array) for array in (x[:images], y[:images], x_validation, y_validation)))

    def save(self, folder: Path) -> None:
        """Write one file for each array."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.__slots__:
            np.save(folder / f"{name}.npy", getattr(self, name))

    def dataset(self, images: int) -> Dataset:
        """Return a Coarsefine dataset with the first `images` training images."""
        validation = Part(self.x_validation, self.y_validation)
        return Dataset(
            name="benchmark",
            classes=tuple("0123456789"),
            shape=(self.x.shape[1],),
            train=Part(self.x[:images], self.y[:images]),
            validation=validation,
            test=validation,
            mean=np.zeros(self.x.shape[1], np.float32),
            scale=1.0,
            digest="",
            description="",
        )


def load_paper(source: Path) -> Arrays:
    """Return the 20,000 training and 1,000 validation images of the preset `paper`."""
    return Arrays.of(load_cifar10(source, Selection()))


def paper_task(folder: Path, source: Path, images: int) -> Task:
    """Return a training on images of the preset `paper`; save its arrays unless another section has."""
    arrays = folder / "arrays"
    if not arrays.exists():
        load_paper(source).save(arrays)
    return Task(str(arrays), images)


def digits_task(folder: Path) -> Task:
    """Return a training on the digits, as in the preset `digits`, but with whole mini-batches alone."""
    data, batch = load_digits(), 20
    Arrays.of(data).save(folder / "digits")
    images, inputs = data.train.x.shape
    return Task(str(folder / "digits"), images // batch * batch, batch=batch, inputs=inputs)


def write_synthetic(folder: Path, seed: int = 0) -> Path:
    """Write synthetic images as the batches that `paper` reads, in the official binary format; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    prototypes = rng.integers(96, 160, (CLASSES, PIXELS))
    for name in Selection().batches:
        images = synthetic_images(BATCH_IMAGES, prototypes, rng)
        np.column_stack([images.labels, images.pixels]).tofile(folder / f"{name}.bin")
    return folder


def synthetic_images(n: int, prototypes: npt.NDArray[np.int64], rng: np.random.Generator) -> Images:
    """Draw images around the prototype of their class, (C, d); some have a wrong label, like hard images."""
    shown, random = rng.integers(0, CLASSES, (2, n))
    noise = rng.integers(0, 128, (n, prototypes.shape[1]), dtype=np.uint8)
    pixels = prototypes.astype(np.uint8)[shown] + noise - np.uint8(64)  # 32 to 223, so that no value overflows
    labels = np.where(rng.random(n) < _CONFUSED, random, shown)
    return Images(pixels, labels.astype(np.uint8))


def synthetic_arrays(n: int, seed: int = 0) -> Arrays:
    """Return n synthetic training images of CIFAR-10's shape, normalised, and 1,000 for validation."""
    rng = np.random.default_rng(seed)
    images = synthetic_images(n + 1000, rng.integers(96, 160, (CLASSES, PIXELS)), rng)
    x = images.pixels.astype(np.float32) / np.float32(255)
    x -= x[:n].mean(axis=0)
    y = images.labels.astype(np.int64)
    return Arrays(x[:n], y[:n], x[n:], y[n:])


def draw_weights(task: Task, seed: int, dtype: npt.DTypeLike = np.float32) -> tuple[npt.NDArray[Any], ...]:
    """Return W1 (m, d), b1 (m,), W2 (C, m), b2 (C,) from N(0, 1/√fan-in), as Coarsefine draws them."""
    rng = np.random.default_rng(seed)
    m, d, C = task.hidden, PIXELS, CLASSES
    W1 = rng.standard_normal((m, d)) / np.sqrt(d)
    W2 = rng.standard_normal((C, m)) / np.sqrt(m)
    return W1.astype(dtype), np.zeros(m, dtype), W2.astype(dtype), np.zeros(C, dtype)


def draw_stack(task: Task, T: int) -> tuple[npt.NDArray[Any], ...]:
    """Return the weights of seeds 0 to T − 1, stacked along a first axis."""
    return tuple(np.stack(arrays) for arrays in zip(*(draw_weights(task, seed) for seed in range(T)), strict=True))
