"""What can go wrong with the model and its data. Each error is a sentence: the thing, the value, the remedy.

ModelError           exit code 1
└── DataError        exit code 4: images that are missing, damaged, or not what they are said to be
    └── CacheError   never leaves coarsefine.model.datasets: a kept file that is not whole, so that it must be made anew
"""


class ModelError(Exception):
    """Any error of `model`."""

    exit_code = 1


class DataError(ModelError):
    """The data cannot be used as it is; nothing was trained on it."""

    exit_code = 4


class CacheError(DataError):
    """A file of the cache cannot be used as it is."""
