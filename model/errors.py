"""Errors of the model and its data. Each message names the thing, the value seen and the remedy.

ModelError           exit code 1
└── DataError        exit code 4: images or networks that are missing, damaged or of another kind
    └── CacheError   a damaged file of the cache, which is made again; never leaves coarsefine.model.datasets
"""


class ModelError(Exception):
    """Any error of `coarsefine.model`."""

    exit_code = 1


class DataError(ModelError):
    """The data cannot be used; nothing was trained on it."""

    exit_code = 4


class CacheError(DataError):
    """A file of the cache cannot be used."""
