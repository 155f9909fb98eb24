"""A campaign's images, loaded from the user's files, a download or the cache."""

import os
from collections.abc import Callable
from pathlib import Path

from coarsefine.model.datasets import Dataset, MappedFile, cache_folder, load_cifar10, load_digits, reopen
from coarsefine.search.campaign.schema import Data
from coarsefine.search.errors import UsageError

VARIABLE = "COARSEFINE_DATA"


def load_images(
    wanted: Data, source: Path | None, say: Callable[[str], None], mapped_file: MappedFile | None = None
) -> Dataset:
    """Return a campaign's data set; CIFAR-10 comes from `source`, else from `COARSEFINE_DATA`, else from a download.

    The normalised images are written to the cache folder and mapped from there, so that all processes share one copy.
    A worker process passes its parent's `Dataset.mapped_file`: it maps that file without reading the source, if the
    file still exists.

    Raises `coarsefine.model.errors.DataError`, or `UsageError` if `source` is given for a built-in data set.
    """
    return (reopen(mapped_file) if mapped_file is not None else None) or read_images(
        wanted, source, say, cache_folder()
    )


def read_images(
    wanted: Data, source: Path | None, say: Callable[[str], None] = lambda _: None, cache: Path | None = None
) -> Dataset:
    """Return a campaign's data set; without `cache`, the cache folder is not used. Raises what `load_images` raises."""
    if wanted.dataset == "digits":
        if source is not None:
            raise UsageError(f"The digits come with scikit-learn: --data {source} is not used. Leave it out.")
        return load_digits(cache=cache, say=say)
    default = os.environ.get(VARIABLE)
    return load_cifar10(source or (Path(default) if default else None), wanted.selection(), say=say, cache=cache)
