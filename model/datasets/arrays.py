"""A user's own images: the arrays of one `.npz` file, trained on without any code."""

from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from coarsefine.model.datasets.cache import cached, key_of, sha256_of
from coarsefine.model.datasets.from_arrays import LONGEST_NAME, NAME, Given, dataset_of
from coarsefine.model.datasets.kinds import DatasetKind, Say
from coarsefine.model.datasets.options import Options
from coarsefine.model.datasets.split import Dataset
from coarsefine.model.errors import DataError
from coarsefine.model.npz_files import read_npz

_NAMES = ("x", "y", "x_validation", "y_validation", "x_test", "y_test", "classes")


class ArrayFile(Options):
    """A `.npz` file with the arrays that `Dataset.from_arrays` takes; `x` and `y` are the training part."""

    path: str | None = None
    """The `.npz` file, relative to the working directory. `--data` names another."""
    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)] | None = None
    """What messages, report and model card call the images."""
    scale: Annotated[float, Field(gt=0)] | None = None
    """What x is divided by: 255 for uint8 and 1 for floats, if it is left out."""


def load_array_file(
    path: Path, options: ArrayFile | None = None, *, say: Say = lambda _: None, cache: Path | None = None
) -> Dataset:
    """Return the arrays of a `.npz` file as a dataset, cached and mapped if there is a `cache` folder.

    Raises `DataError` for a file that is missing or holds other arrays. Nothing in it is unpickled.
    """
    options = options or ArrayFile()

    def key() -> str:
        return key_of(NAME, file=sha256_of(path), name=options.name, scale=options.scale)

    try:
        if not path.is_file():  # a pipe might have no end
            raise DataError(f"There is no file {path}: name the .npz file as path in [data], or by --data.")
        return cached(key, partial(_read, path, options), cache, say)
    except OSError as error:  # the path is impossible, or the file is there and cannot be read
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _read(path: Path, options: ArrayFile) -> Dataset:
    try:
        arrays = read_npz(path)
    except ValueError as error:
        raise DataError(f"{path} cannot be read as a .npz file ({error}): write it by numpy.savez.") from error
    if (unknown := sorted(arrays.keys() - set(_NAMES))) or not {"x", "y"} <= arrays.keys():
        wrong = f"has '{unknown[0]}'" if unknown else "lacks x or y"
        raise DataError(f"{path} {wrong}: it must hold x and y, and may hold {', '.join(_NAMES[2:])}.")
    x, y, x_validation, y_validation, x_test, y_test, classes = map(arrays.get, _NAMES)
    if classes is not None and (classes.ndim != 1 or classes.dtype.kind != "U"):
        raise DataError(f"{path}: classes is {classes.shape} {classes.dtype}, not a list of the classes' names.")
    assert x is not None and y is not None, "both are there"  # noqa: S101, PT018 - checked above
    try:
        return dataset_of(
            Given("x", x, "y", y),
            Given.of("x_validation", x_validation, "y_validation", y_validation),
            Given.of("x_test", x_test, "y_test", y_test),
            classes=None if classes is None else classes.tolist(), scale=options.scale, name=options.name or NAME,
        )  # fmt: skip
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _load(options: ArrayFile, source: Path | None, say: Say, cache: Path | None) -> Dataset:
    if source is None:
        raise DataError(
            'The dataset "arrays" needs its file: give path = "mydata.npz" in [data], or --data mydata.npz.'
        )
    return load_array_file(source, options, say=say, cache=cache)


ARRAYS = DatasetKind("images from arrays", _load, ArrayFile, source="mydata.npz")
