"""Images to train on: the digits that ship with scikit-learn, and CIFAR-10 in each of its official formats."""

from coarsefine.model.datasets.cache import cache_folder, reopen
from coarsefine.model.datasets.cifar10 import Selection, load_cifar10
from coarsefine.model.datasets.digits import load_digits
from coarsefine.model.datasets.split import Counts, Dataset, Images, MappedFile, Part

__all__ = [
    "Counts", "Dataset", "Images", "MappedFile", "Part", "Selection", "cache_folder", "load_cifar10", "load_digits",
    "reopen",
]  # fmt: skip
