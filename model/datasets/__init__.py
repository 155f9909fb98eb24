"""Images to train on: the digits that ship with scikit-learn, CIFAR-10 in each of its official formats, and arrays."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from coarsefine.model.datasets.cache import cache_folder, cached, key_of, reopen, share
from coarsefine.model.datasets.kinds import DATASETS, DatasetKind
from coarsefine.model.datasets.split import Counts, Dataset, Images, MappedFile, Part

if TYPE_CHECKING:
    from coarsefine.model.datasets.cifar10 import Selection, load_cifar10
    from coarsefine.model.datasets.digits import load_digits

__all__ = [
    "DATASETS", "Counts", "Dataset", "DatasetKind", "Images", "MappedFile", "Part", "Selection", "cache_folder",
    "cached", "key_of", "load_cifar10", "load_digits", "reopen", "share",
]  # fmt: skip

_MODULES = {"Selection": "cifar10", "load_cifar10": "cifar10", "load_digits": "digits"}
"""The modules of datasets, imported when they are first used, as those of other packages are."""


def __getattr__(name: str) -> Any:
    """Import a dataset's function the first time it is used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value
