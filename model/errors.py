"""Errors of the model and its data. Each message names the thing, the value seen and the remedy.

ModelError           exit code 1
├── ExtensionError   exit code 2: a name that no installed package brings, or that cannot be used
├── KernelError      exit code 2: COARSEFINE_KERNEL names a kernel that this machine cannot use
└── DataError        exit code 4: images or networks that are missing, damaged or of another kind
    └── CacheError   a damaged file of the cache, which is made again; never leaves coarsefine.model.datasets
"""


class ModelError(Exception):
    """Any error of `coarsefine.model`."""

    exit_code = 1


class ExtensionError(ModelError, ValueError):
    """No installed package brings what a name asks for, or what it brings cannot be used.

    It is a `ValueError`, so that a field of a campaign file can refuse a name with it.
    """

    exit_code = 2

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason[0].upper()}{reason[1:]}.")
        self.reason = reason
        """The message for the end of a sentence: without the capital and the full stop."""


class KernelError(ModelError):
    """The environment asks for a kernel that this machine cannot use."""

    exit_code = 2


class DataError(ModelError):
    """The data cannot be used; nothing was trained on it."""

    exit_code = 4


class CacheError(DataError):
    """A file of the cache cannot be used."""


def message_of(error: BaseException) -> str:
    """Return the message of an exception of any code, even of one whose message cannot be printed."""
    try:
        return str(error)
    except BaseException as raised:  # noqa: BLE001 - whatever `__str__` raises
        return f"its message cannot be printed, {type(raised).__name__}"
