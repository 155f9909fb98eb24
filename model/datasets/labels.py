"""Labels as a user gives them, whole numbers or names, as places among the classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coarsefine.model.errors import DataError

_FEWEST, _MOST, _LONGEST = 2, 1000, 100
"""Fewest and most classes, and most letters of the name of one."""
_MOST_SHOWN = 20

Labels = npt.NDArray[np.int64]
Named = tuple[str, npt.ArrayLike]
"""An array, after the name that messages call it by."""


def as_array(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return values as an array; raise `DataError` if they make none."""
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:  # rows of different lengths, tensors on another device
        raise DataError(f"{name} is not an array: {error}.") from error


def classes_and_labels(
    given: Mapping[str, Named], classes: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, Labels]]:
    """Return the names of the classes, and the labels (n,) of each part as places among them.

    Without `classes`, they are those of the part `train`. Raises `DataError` for labels that are not a class.
    """
    arrays = {part: as_array(*named) for part, named in given.items()}
    for part, y in arrays.items():
        _check_kind(given[part][0], y)
        if (y.dtype.kind == "U") != (arrays["train"].dtype.kind == "U"):
            kinds = f"{given[part][0]} is an array of {y.dtype}, and {given['train'][0]} of {arrays['train'].dtype}"
            raise DataError(f"{kinds}: give numbers in all parts, or names in all.")
    names = _class_names(given["train"][0], arrays["train"], classes)
    return names, {part: _numbered(given[part][0], y, names) for part, y in arrays.items()}


def check_classes(name: str, labels: npt.NDArray[np.integer[Any]], classes: Sequence[str]) -> None:
    """Raise `DataError` if a class has no training image."""
    counts = np.bincount(labels, minlength=len(classes))
    if not counts.all():
        raise DataError(
            f"{name} has no image of the class '{classes[int(counts.argmin())]}' to train on: every class needs some. "
            "Number the classes from 0 without gaps, or leave the class out."
        )


def _check_kind(name: str, y: npt.NDArray[Any]) -> None:
    if y.ndim != 1:
        raise DataError(f"{name} has the shape {y.shape}, not (n,): give one label for each image.")
    if len(y) == 0:
        raise DataError(f"{name} holds no label.")
    if y.dtype.kind not in "iuU":
        raise DataError(f"{name} is an array of {y.dtype}: labels are whole numbers from 0, or names of classes.")


def _class_names(name: str, y: npt.NDArray[Any], classes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the classes as given, or else those of the training labels."""
    if classes is not None:
        names = tuple(map(str, classes))
    elif y.dtype.kind == "U":
        names = tuple(map(str, np.unique(y)))
    else:
        names = tuple(map(str, range(min(int(y.max()), _MOST) + 1)))
    if not _FEWEST <= len(names) <= _MOST:
        found = len(names) if len(names) < _FEWEST else f"more than {_MOST:,}"
        raise DataError(f"The number of classes in {name} is {found}: it must be {_FEWEST} to {_MOST:,}.")
    for one in names:
        if not 1 <= len(one) <= _LONGEST or not one.isprintable() or names.count(one) > 1:
            raise DataError(f"The class {one!r} must be a name of its own of 1 to {_LONGEST} printable letters.")
    return names


def _numbered(name: str, y: npt.NDArray[Any], classes: tuple[str, ...]) -> Labels:
    numbers: Labels
    if y.dtype.kind == "U":
        order = np.argsort(classes)
        found = np.searchsorted(classes, y, sorter=order).clip(max=len(classes) - 1)
        numbers = order[found].astype(np.int64)
        wrong = np.asarray(classes)[numbers] != y
    else:
        wrong = (y < 0) | (y >= len(classes))
        numbers = np.where(wrong, 0, y).astype(np.int64)
    if wrong.any():
        place = int(wrong.argmax())
        known = f"0 to {len(classes) - 1}" if y.dtype.kind != "U" else _listed(classes)
        label = f"{name} has the label {y[place].item()!r} at {place}"
        raise DataError(f"{label}, which is not a class (classes: {known}).")
    return numbers


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_SHOWN])
    return shown if len(names) <= _MOST_SHOWN else f"{shown} …"
