"""A campaign's images, loaded from the user's files, a download, the cache, or given as a `Dataset` in memory."""

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from coarsefine.model.datasets import DATASETS, Dataset, MappedFile, cache_folder, reopen, share
from coarsefine.model.datasets.from_arrays import NAME
from coarsefine.model.datasets.kinds import PATH_KEY, DatasetKind
from coarsefine.model.errors import DataError, ModelError, message_of
from coarsefine.model.extensions import call, described, exits_raise, load
from coarsefine.search.arguments import require
from coarsefine.search.campaign.data_options import parse_options
from coarsefine.search.campaign.sections import Data
from coarsefine.search.campaign.validation_errors import sentence
from coarsefine.search.errors import CampaignError, SearchError, UsageError

Source = Path | Dataset
"""Where images come from: a file or folder, or memory."""


def require_source(argument: str, value: object) -> None:
    """Raise `UsageError` unless an argument is a source of images or None."""
    fits = value is None or isinstance(value, (Path, Dataset))
    require(fits, argument, value, 'a Path, such as Path("cifar-10-binary.tar.gz"), or a Dataset')


def load_images(
    wanted: Data, source: Source | None, say: Callable[[str], None], mapped_file: MappedFile | None = None
) -> Dataset:
    """Return a campaign's dataset.

    It is read from `source`, else from the `path` of `[data]`, else from what the dataset's environment variable names,
    else from where the dataset finds it. A `Dataset` as the source is the dataset, if `[data]` names "arrays".

    The normalised images are written to the cache folder and mapped from there, so that all processes share one copy.
    A worker process passes its parent's `Dataset.mapped_file`: it maps that file without reading the source, if the
    file still exists.

    Raises `coarsefine.model.errors.DataError`, `ExtensionError` if the dataset is not installed, `CampaignError` if it
    does not take the options of `[data]`, and `UsageError` for a `source` that it does not use.
    """
    if mapped_file is not None and (mapped := reopen(mapped_file)) is not None:
        return mapped
    if isinstance(source, Dataset):
        if wanted.dataset != NAME:
            raise UsageError(
                f'A Dataset is given as data: it needs dataset = "{NAME}" in [data], not "{wanted.dataset}".'
            )
        return share(source, cache_folder(), say)
    return read_images(wanted, source, say, cache_folder())


def read_images(
    wanted: Data, source: Path | None, say: Callable[[str], None] = lambda _: None, cache: Path | None = None
) -> Dataset:
    """Return a campaign's dataset; without `cache`, the cache folder is not used. Raises what `load_images` raises."""
    kind = load(DATASETS, wanted.dataset)
    try:
        options = call(DATASETS, wanted.dataset, lambda: parse_options(kind, wanted.options), ValidationError)
    except ValidationError as error:
        raise CampaignError(f"[data] does not fit the dataset '{wanted.dataset}': {sentence(error, Data)}") from error
    if source is not None and not kind.source:
        raise UsageError(f"The dataset '{wanted.dataset}' reads no file: --data {source} is not used. Leave it out.")
    with _named_errors(wanted.dataset), exits_raise():
        found = kind.load(options, source or _default_source(kind, wanted), say, cache)
    if not isinstance(found, Dataset):
        returned = f"{described(DATASETS, wanted.dataset)} returned {type(found).__name__}"
        raise DataError(f"The {returned}, not a coarsefine.Dataset: correct that package.")
    return found


@contextmanager
def _named_errors(dataset: str) -> Iterator[None]:
    """Turn an error in the code of another package into a `DataError` that names the package and the line."""
    try:
        yield
    except (ModelError, SearchError):
        raise
    except (Exception, SystemExit) as error:
        if dataset in DATASETS.built_in:
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise DataError(
            f"The {described(DATASETS, dataset)} cannot be loaded: {type(error).__name__}: {message_of(error)} "
            f"({place.filename}, line {place.lineno}). Correct that package."
        ) from error


def _default_source(kind: DatasetKind, wanted: Data) -> Path | None:
    named = wanted.options.get(PATH_KEY) or (os.environ.get(kind.variable) if kind.variable else None)
    return Path(named) if named else None
