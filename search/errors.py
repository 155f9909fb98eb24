"""The exceptions of a search, with their exit codes.

Each message is a sentence with the thing, the value seen and the remedy.

    SearchError                exit code 1
    ├── UsageError             exit code 2: the request names something that does not exist or does not fit
    │   └── CampaignError      exit code 2: the campaign file
    ├── NothingCompleted       exit code 3: a stage ended without a completed trial
    ├── MostlyFailed           exit code 3: the campaign has ended, but half of a stage's trials or more failed
    ├── RepeatedFailure        exit code 3: a worker stopped because trial after trial failed with the same cause
    ├── StorageError           exit code 5: the database, its file, or the disk
    ├── WorkersFailed          the exit code of the worker process that failed
    └── Interrupted            exit code 130: stopped by Ctrl-C, SIGTERM or SIGHUP; the slots are free again

Exit code 4, for data, belongs to `DataError` of `coarsefine.model.errors`.
`TrialEnded` is not a `SearchError`: it ends a call of a user's function.
"""

import errno

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})
"""The numbers of errors of a disk that is full, damaged or protected."""


class SearchError(Exception):
    """Base class of the errors of a search."""

    exit_code = 1


class UsageError(SearchError):
    """The request names something that does not exist, or does not fit what is stored."""

    exit_code = 2


class CampaignError(UsageError):
    """The campaign cannot run as it is written, or differs from the one that was started under its name."""


class NothingCompleted(SearchError):  # noqa: N818 - an outcome, named as one
    """A stage ended without a completed trial, so there is nothing to narrow from or to train."""

    exit_code = 3


class MostlyFailed(SearchError):  # noqa: N818 - an outcome, named as one
    """A campaign has ended, but at least half of the trials of a stage failed: that is no search. Commands raise it."""

    exit_code = 3


class RepeatedFailure(SearchError):  # noqa: N818 - an outcome, named as one
    """A worker stopped, because trial after trial failed with the same cause. Its other trials wait."""

    exit_code = 3

    def __init__(self, message: str, trial: int = 0) -> None:
        super().__init__(message)
        self.trial = trial
        """The number of the last one that failed."""


class StorageError(SearchError):
    """The database cannot be used in its present state. What was recorded before stays recorded."""

    exit_code = 5


class WorkersFailed(SearchError):  # noqa: N818 - an outcome, named as one
    """A worker process failed, or workers die before they can start. What was recorded stays recorded."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Interrupted(SearchError):  # noqa: N818 - an outcome, named as one
    """The run was stopped on request. Unfinished slots wait for the next run."""

    exit_code = 130


class TrialEnded(BaseException):
    """Raised by `report` in a user's function when its trial is pruned or the run is stopped.

    Do not catch it, or clean up and raise it again: nothing the function does afterwards is recorded. It is not an
    `Exception`, so that `except Exception` does not catch it, as with `KeyboardInterrupt`.
    """
