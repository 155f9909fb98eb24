"""Make a dataset from arrays: check them, number their classes, and split off the parts that are missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from coarsefine.model.datasets.split import Dataset, Images, Raw, normalise
from coarsefine.model.errors import DataError

NAME = "arrays"
"""What images are called that have no name of their own."""
LONGEST_NAME = 64
_SHARE, _SPLIT_SEED = 0.15, 0
"""Share of each class's images that become a missing part, and the seed that draws them."""
_MOST_CLASSES, _LONGEST_CLASS, _MOST_SHOWN = 1000, 100, 20
_LARGEST_UNSCALED = 10.0
_UINT8_SCALE = 255.0
_ROWS_AXIS, _CHANNELS = 4, (1, 3)
"""Axes of an array of images with channels, and the numbers of channels that images have: grey, or RGB."""

Labels = npt.NDArray[np.int64]
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
    names, labels = _classes_and_labels(given, classes)
    for part, g in given.items():
        if len(pixels[part]) != len(labels[part]):
            raise DataError(
                f"{g.x_name} has {len(pixels[part]):,} images, and {g.y_name} {len(labels[part]):,} labels."
            )
    scale = _scale(given, pixels, scale)
    parts = {part: Images(pixels[part].reshape(len(pixels[part]), -1), labels[part]) for part in given}
    missing = [part for part in ("validation", "test") if part not in given]
    parts |= _split(parts["train"], missing, train.x_name)
    _check_classes(parts["train"], names, train.y_name)
    chosen = {"split off": missing, "split seed": _SPLIT_SEED} if missing else {"parts": "as given"}
    raw = Raw(_name(name), names, pixels["train"].shape[1:], scale, **parts)
    identity = {"name": NAME, "classes": names, "scale": scale, "type": pixels["train"].dtype.name}
    return normalise(raw, chosen, identity)


def _name(name: str) -> str:
    if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name.strip()) <= len(name) <= LONGEST_NAME:
        raise DataError(f"The name {name!r} of the images must be 1 to {LONGEST_NAME} letters that can be printed.")
    return name


def _array(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:  # rows of different lengths, tensors on another device
        raise DataError(f"{name} is no array: {error}.") from error


def _pixels(name: str, values: npt.ArrayLike) -> Pixels:
    """Return x as uint8 or float32, after checking its type, its shape and its numbers."""
    x = _array(name, values)
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
        place = tuple(map(int, np.argwhere(~finite)[0]))
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


def _classes_and_labels(
    given: dict[str, Given], classes: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, Labels]]:
    """Return the names of the classes, and the labels of each part as places among them."""
    arrays = {part: _array(g.y_name, g.y) for part, g in given.items()}
    first = arrays["train"]
    for part, y in arrays.items():
        name = given[part].y_name
        if y.ndim != 1:
            raise DataError(f"{name} has the shape {y.shape}, not (n,): give one label for each image.")
        if y.dtype.kind not in "iuU":
            raise DataError(f"{name} is an array of {y.dtype}: labels are whole numbers from 0, or names of classes.")
        if (y.dtype.kind == "U") != (first.dtype.kind == "U"):
            raise DataError(
                f"{name} is an array of {y.dtype}, and {given['train'].y_name} of {first.dtype}: give one kind."
            )
    if len(first) == 0:
        raise DataError(f"{given['train'].y_name} holds no label.")
    names = _class_names(given["train"].y_name, first, classes)
    return names, {part: _numbered(given[part].y_name, y, names) for part, y in arrays.items()}


def _class_names(y_name: str, y: npt.NDArray[Any], classes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the classes as given, or else those of the training labels."""
    if classes is not None:
        names = tuple(map(str, classes))
    elif y.dtype.kind == "U":
        names = tuple(map(str, np.unique(y)))
    else:
        names = tuple(map(str, range(min(int(y.max()), _MOST_CLASSES) + 1)))
    if not 2 <= len(names) <= _MOST_CLASSES:  # noqa: PLR2004 - there is a choice from two on
        found = f"more than {_MOST_CLASSES}" if len(names) > _MOST_CLASSES else len(names)
        raise DataError(f"{y_name} has {found} classes: a network can learn 2 to {_MOST_CLASSES:,}.")
    for name in names:
        if not 1 <= len(name) <= _LONGEST_CLASS or not name.isprintable() or names.count(name) > 1:
            raise DataError(f"The class {name!r} must be a name of its own of 1 to {_LONGEST_CLASS} printable letters.")
    return names


def _numbered(y_name: str, y: npt.NDArray[Any], names: tuple[str, ...]) -> Labels:
    """Return labels as places among the classes."""
    numbers: Labels
    if y.dtype.kind == "U":
        order = np.argsort(names)
        found = np.searchsorted(names, y, sorter=order).clip(max=len(names) - 1)
        numbers = order[found].astype(np.int64)
        wrong = np.asarray(names)[numbers] != y
    else:
        wrong = (y < 0) | (y >= len(names))
        numbers = np.where(wrong, 0, y).astype(np.int64)
    if wrong.any():
        place = int(wrong.argmax())
        known = f"0 to {len(names) - 1}" if y.dtype.kind != "U" else _listed(names)
        raise DataError(f"{y_name} has the label {y[place].item()!r} at {place}, which is no class (classes: {known}).")
    return numbers


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_SHOWN])
    return shown if len(names) <= _MOST_SHOWN else f"{shown} …"


def _check_classes(train: Images, names: tuple[str, ...], y_name: str) -> None:
    counts = np.bincount(train.labels, minlength=len(names))
    if not counts.all():
        raise DataError(
            f"{y_name} has no image of the class '{names[int(counts.argmin())]}' to train on: every class needs some. "
            f"Number the classes from 0 without gaps, or leave the class out."
        )


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
