"""The kinds of datasets: what `dataset` in a campaign's `[data]` may name.

A package adds one as an entry point of the group `coarsefine.datasets`; `docs/extending/datasets.md` shows how.
Coarsefine's own kinds, each in a module of this package, have the same form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coarsefine.model.datasets.split import Dataset
from coarsefine.model.extensions import Group

if TYPE_CHECKING:
    from pydantic import BaseModel

Say = Callable[[str], None]
"""Prints a sentence about the progress for a person."""
NAME_KEY, PATH_KEY = "dataset", "path"


@dataclass(frozen=True, slots=True)
class DatasetKind:
    """One kind of dataset. Its name in `[data]` is that of its entry point."""

    title: str
    """What its images are, in words for pages and reports: "8×8 handwritten digits". If the options have a `name`,
    its value is shown instead, unless that is empty or None."""
    load: Callable[[Any, Path | None, Say, Path | None], Dataset]
    """`load(options, source, say, cache)` returns the dataset.

    `options` is what `[data]` holds, as an instance of the class `options`, or None without one. `source` is the file
    or folder to read: `--data`, else the option `path`, else what the environment variable names, else None.
    `say(sentence)` prints what takes long, such as a download. `cache` is a folder for normalised images, to pass to
    `coarsefine.cached`; None if nothing may be written. The same options and source must always give the same images in
    the same order. Raises `coarsefine.DataError` if the data cannot be used.
    """
    options: "type[BaseModel] | None" = None
    """A pydantic model of the other keys of `[data]`: their types, bounds, defaults and descriptions. No type is
    converted. They are stored with a campaign, in their JSON form, and a campaign resumes only with the same; only
    `path` may change."""
    source: str = ""
    """What `--data` names, as an example: "cifar-10-binary.tar.gz". Empty if the dataset is read from no file that a
    user names."""
    variable: str = ""
    """An environment variable with the default of `--data`, if there is one."""

    @property
    def keys(self) -> list[str]:
        """Return the keys that `[data]` may hold for this kind."""
        fields = self.options.model_fields if self.options is not None else {}
        return [NAME_KEY, *(field.alias or name for name, field in fields.items())]


def _check(found: Any) -> DatasetKind:
    """Return what an entry point names if it is a kind; raise `TypeError` or `ValueError` if it is none."""
    from pydantic import BaseModel  # noqa: PLC0415 - not needed to train a network

    if not isinstance(found, DatasetKind):
        raise TypeError(f"is not a coarsefine.DatasetKind, but of type {type(found).__name__}")
    options = found.options
    if options is not None and not (isinstance(options, type) and issubclass(options, BaseModel)):
        raise ValueError(f"has options that are not a pydantic model: {options!r}")
    if NAME_KEY in found.keys[1:]:
        raise ValueError(f"has an option '{NAME_KEY}', which is the key of its own name")
    if not isinstance(found.title, str) or not found.title or not callable(found.load):
        raise ValueError("lacks a title in words or a function to load it")
    return found


DATASETS = Group(
    "coarsefine.datasets",
    "dataset",
    {
        "digits": "coarsefine.model.datasets.digits:DIGITS",
        "cifar10": "coarsefine.model.datasets.cifar10:CIFAR10",
        "arrays": "coarsefine.model.datasets.arrays:ARRAYS",
    },
    _check,
)
