"""Make a dataset from arrays: check the images, and split off the parts that are missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Self

import numpy as np
import numpy.typing as npt

from coarsefine.model.datasets.labels import as_array, check_classes, classes_and_labels
from coarsefine.model.datasets.split import Dataset, Images, Raw, normalise
from coarsefine.model.errors import DataError

NAME = "arrays"
"""What images are called that have no name of their own."""
LONGEST_NAME = 64
_SHARE, _SPLIT_SEED = 0.15, 0
"""Share of each class's images that become a missing part, and the seed that draws them."""
_LARGEST_UNSCALED = 10.0
_UINT8_SCALE = 255.0
_ROWS_AXIS, _CHANNELS = 4, (1, 3)
"""Axes of an array of images with channels, and the numbers of channels that images have: grey, or RGB."""

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Given:
    """The two arrays of one part as a user gave them, with the names that messages call them by."""

    x_name: str
    x: npt.ArrayLike
    y_name: str
    y: npt.ArrayLike

    @classmethod
    def of(cls, x_name: str, x: npt.ArrayLike | None, y_name: str, y: npt.ArrayLike | None) -> Self | None:
        """Return a part, or None if neither array is given; raise `DataError` if only one is."""
        if x is None and y is None:
            return None
        if x is None or y is None:
            missing, given = (x_name, y_name) if x is None else (y_name, x_name)
            raise DataError(f"There is {given} without {missing}: give both, or neither.")
        return cls(x_name, x, y_name, y)


def dataset_of(
    train: Given,
    validation: Given | None,
    test: Given | None,
    *,
    classes: Sequence[str] | None = None,
    scale: float | None = None,
    name: str = NAME,
) -> Dataset:
    """Return the dataset that `Dataset.from_arrays` describes; raise `DataError` for arrays that make none."""
    given = {"train": train} | {part: g for part, g in (("validation", validation), ("test", test)) if g is not None}
    pixels = {part: _pixels(g.x_name, g.x) for part, g in given.items()}
    _check_alike(given, pixels)
    names, labels = classes_and_labels({part: (g.y_name, g.y) for part, g in given.items()}, classes)
    for part, g in given.items():
        if len(pixels[part]) != len(labels[part]):
            raise DataError(
                f"{g.x_name} has {len(pixels[part]):,} images, and {g.y_name} {len(labels[part]):,} labels."
            )
    scale = _scale(given, pixels, scale)
    parts = {part: Images(pixels[part].reshape(len(pixels[part]), -1), labels[part]) for part in given}
    missing = [part for part in ("validation", "test") if part not in given]
    parts |= _split(parts["train"], missing, train.x_name)
    check_classes(train.y_name, parts["train"].labels, names)
    chosen = {"split off": missing, "split seed": _SPLIT_SEED} if missing else {"parts": "as given"}
    raw = Raw(_name(name), names, pixels["train"].shape[1:], scale, **parts)
    identity = {"name": NAME, "classes": names, "scale": scale, "type": pixels["train"].dtype.name}
    return normalise(raw, chosen, identity)


def _name(name: str) -> str:
    if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name.strip()) <= len(name) <= LONGEST_NAME:
        raise DataError(f"The name {name!r} of the images must be 1 to {LONGEST_NAME} letters that can be printed.")
    return name


def _pixels(name: str, values: npt.ArrayLike) -> Pixels:
    """Return x as uint8 or float32, after checking its type, its shape and its numbers."""
    x = as_array(name, values)
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise DataError(
            f"{name} is an array of {x.dtype}: make it uint8 for pixels of 0 to 255, or float32 for other numbers."
        )
    _check_shape(name, x.shape)
    if x.dtype == np.uint8:
        return x
    with np.errstate(over="ignore"):  # what float32 cannot hold is found below
        x = x.astype(np.float32)
    finite = np.isfinite(x)
    if not finite.all():
        place = tuple(map(int, np.unravel_index(finite.argmin(), finite.shape)))
        raise DataError(
            f"{name} holds NaN or a number too large for float32, at {place}: correct or leave out the image."
        )
    return x


def _check_shape(name: str, shape: tuple[int, ...]) -> None:
    form = (
        f"{name} has the shape {shape}, not (n, rows, columns) for grey images, (n, channels, rows, columns) with "
        f"one or three channels, or (n, d) for other features"
    )
    if not 2 <= len(shape) <= _ROWS_AXIS:  # noqa: PLR2004 - n and d
        raise DataError(f"{form}.")
    if len(shape) == _ROWS_AXIS and shape[1] not in _CHANNELS:
        remedy = (
            ".transpose(0, 3, 1, 2) moves the channels" if shape[3] in _CHANNELS else ".reshape(n, -1) makes features"
        )
        raise DataError(f"{form}: {name}{remedy}.")
    if 0 in shape:
        raise DataError(f"{name} has the shape {shape}: it holds no image.")


def _check_alike(given: dict[str, Given], pixels: dict[str, Pixels]) -> None:
    first = pixels["train"]
    for part, x in pixels.items():
        if (x.shape[1:], x.dtype) != (first.shape[1:], first.dtype):
            raise DataError(
                f"{given[part].x_name} holds images of {x.shape[1:]} {x.dtype}, and {given['train'].x_name} of "
                f"{first.shape[1:]} {first.dtype}: all parts must be alike."
            )


def _scale(given: dict[str, Given], pixels: dict[str, Pixels], scale: float | None) -> float:
    if scale is not None:
        if not isinstance(scale, Real) or not 0 < scale < np.inf:
            raise DataError(f"scale = {scale!r} must be a number above 0, by which all images are divided.")
        return float(scale)
    if pixels["train"].dtype == np.uint8:
        return _UINT8_SCALE
    for part, x in pixels.items():
        if (largest := float(np.abs(x).max())) > _LARGEST_UNSCALED:
            raise DataError(
                f"{given[part].x_name} holds numbers up to ±{largest:g}: give a scale to divide by, such as 255 for "
                "pixels of 0 to 255, or 1 to use the numbers as they are."
            )
    return 1.0


def _split(train: Images, missing: Sequence[str], x_name: str) -> dict[str, Images]:
    """Return the missing parts, drawn from each class of the training images, and what remains of these."""
    if not missing:
        return {}
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(train.labels))
    part_of = np.zeros(len(order), np.int8)
    for label in np.unique(train.labels):
        members = order[train.labels[order] == label]
        size = int(_SHARE * len(members) + 0.5)
        for number in range(1, len(missing) + 1):
            part_of[members[(number - 1) * size : number * size]] = number
    parts = {part: train[order[part_of[order] == number]] for number, part in enumerate(("train", *missing))}
    for part in missing:
        if len(parts[part].labels) == 0:
            raise DataError(
                f"{x_name} has {len(order)} images, too few to split off {part} images: give more, or x_{part} and "
                f"y_{part}."
            )
    return parts
