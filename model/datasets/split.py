"""Datasets: images in a training, a validation and a test part, normalised by statistics of the training part alone."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

NORMALISATION = 1
"""Version of reading and normalising. Increase it if the same files give other numbers: old caches are then unused."""


@dataclass(frozen=True, slots=True)
class Images:
    """Images as they were read: pixels (n, d), uint8 or float32, and labels (n,), whole numbers."""

    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    labels: npt.NDArray[np.integer[Any]]

    @classmethod
    def join(cls, parts: Sequence["Images"]) -> "Images":
        """Return all images of several parts, in order."""
        return cls(np.concatenate([p.pixels for p in parts]), np.concatenate([p.labels for p in parts]))

    def __getitem__(self, places: slice | npt.NDArray[np.int64]) -> "Images":
        return Images(self.pixels[places], self.labels[places])


@dataclass(frozen=True, slots=True)
class Part:
    """Normalised images x (n, d), float32, and their labels y (n,)."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]


class Counts(NamedTuple):
    """How many images each part of a dataset has."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True, slots=True)
class MappedFile:
    """The file that holds a dataset on this machine: all that another process needs to share it."""

    path: Path
    header_sha256: str
    """SHA-256 of the header, which contains the hash of the content."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images in three parts that share no image."""

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    """Shape of one image: (rows, columns), or (channels, rows, columns); (d,) if it is no image. Its product is d."""
    train: Part
    validation: Part
    test: Part
    mean: npt.NDArray[np.float32]
    """Mean (d,) of the scaled training images: x = pixels/scale − mean."""
    scale: float
    digest: str
    """SHA-256 of the raw pixels and labels of the three parts; it does not depend on the format they were read from."""
    description: str
    """Name, counts, and how the parts were chosen, in words."""
    mapped_file: MappedFile | None = None
    """The file that the arrays are mapped from; None if they are in this process's memory."""

    @classmethod
    def from_arrays(  # noqa: PLR0913 - three parts of two arrays each
        cls,
        x_train: npt.ArrayLike,
        y_train: npt.ArrayLike,
        *,
        x_validation: npt.ArrayLike | None = None,
        y_validation: npt.ArrayLike | None = None,
        x_test: npt.ArrayLike | None = None,
        y_test: npt.ArrayLike | None = None,
        classes: Sequence[str] | None = None,
        scale: float | None = None,
        name: str = "arrays",
    ) -> "Dataset":
        """Return images from arrays in memory, normalised as x/scale less the mean of the training images.

        Each `x_…` has the shape (n, rows, columns) for grey images, (n, channels, rows, columns) with one or three
        channels for grey or RGB images, or (n, d) for other features; each `y_…` has the shape (n,). `x_…` are uint8,
        or floats, which are rounded to float32. `scale` is 255 for uint8 and 1 for floats unless it is given: a network
        that should classify image files needs pixels that `scale` divides to 0 for black and 1 for white. Floats beyond
        ±10 need a `scale`, because the usual learning rates belong to inputs of about this size.

        Labels are whole numbers from 0, the places of their classes in `classes`, or they are the classes' names.
        Without `classes`, numbers are named by themselves, and names are sorted.

        If the validation or the test images are not given, 15 % of each class of `x_train` become that part, drawn with
        a fixed seed: equal arrays give equal parts. The remaining images stay in the drawn order.

        `name` is what messages and reports call the images. The digest depends on everything but the name.

        Raises `DataError` for arrays of other types or shapes, numbers that are not finite, unequal lengths, labels out
        of range, a class without a training image, and parts that would be empty.
        """
        from coarsefine.model.datasets.from_arrays import Given, dataset_of  # noqa: PLC0415 - which imports this module

        validation = Given.of("x_validation", x_validation, "y_validation", y_validation)
        test = Given.of("x_test", x_test, "y_test", y_test)
        train = Given("x_train", x_train, "y_train", y_train)
        return dataset_of(train, validation, test, classes=classes, scale=scale, name=name)

    @property
    def counts(self) -> Counts:
        """Return the numbers of images."""
        return Counts(len(self.train.y), len(self.validation.y), len(self.test.y))

    def training_on_validation(self) -> "Dataset":
        """Return the dataset with the validation images added to the training part, normalised as before."""
        x = np.concatenate([self.train.x, self.validation.x])
        return replace(self, train=Part(x, np.concatenate([self.train.y, self.validation.y])), mapped_file=None)


@dataclass(frozen=True, slots=True)
class Raw:
    """A dataset as it was read, before it is normalised."""

    name: str
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    scale: float
    train: Images
    validation: Images
    test: Images


def normalise(raw: Raw, chosen: dict[str, Any], identity: Mapping[str, Any] | None = None) -> Dataset:
    """Return the dataset with pixels scaled to 0…1, less the mean of the training images.

    They are not divided by their standard deviation, because the paper's learning rates belong to inputs scaled like
    this. `chosen` describes how the parts were chosen; it enters the digest and the description. What else the digest
    should depend on is in `identity`, in JSON form; it may replace the name.
    """
    mean = (raw.train.pixels.mean(axis=0, dtype=np.float64) / raw.scale).astype(np.float32)
    sizes = "/".join(f"{len(part.labels):,}" for part in (raw.train, raw.validation, raw.test))
    return Dataset(
        name=raw.name,
        classes=raw.classes,
        shape=raw.shape,
        train=_normalised(raw.train, raw.scale, mean),
        validation=_normalised(raw.validation, raw.scale, mean),
        test=_normalised(raw.test, raw.scale, mean),
        mean=mean,
        scale=raw.scale,
        digest=_digest(raw, {"name": raw.name, "shape": raw.shape, "chosen": chosen, **(identity or {})}),
        description=f"{raw.name}, {sizes} images for training, validation, test ({_words(chosen)})",
    )


def _normalised(images: Images, scale: float, mean: npt.NDArray[np.float32]) -> Part:
    x = images.pixels.astype(np.float32, order="C")
    x /= np.float32(scale)
    x -= mean
    return Part(x, images.labels.astype(np.int64))


def _digest(raw: Raw, header: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for part in (raw.train, raw.validation, raw.test):
        digest.update(part.labels.tobytes())
        digest.update(np.ascontiguousarray(part.pixels).data)
    return digest.hexdigest()


def _words(chosen: dict[str, Any]) -> str:
    return ", ".join(f"{key} {'+'.join(v) if isinstance(v, list) else v}" for key, v in chosen.items())
