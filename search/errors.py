"""What can go wrong with a search. Each error is a sentence: the thing, the value seen, the remedy.

    SearchError                exit code 1
    ├── UsageError             exit code 2: asked for something that does not exist or does not fit
    │   └── CampaignError      exit code 2: the campaign file
    ├── NothingCompleted       exit code 3: a stage ended without one completed trial
    ├── StorageError           exit code 5: the database, its file, or the disk
    ├── WorkersFailed          the exit code of the worker process that could not go on
    └── Interrupted            exit code 130: stopped by Ctrl-C or SIGTERM; the slots went back

Exit code 4, the data, is `DataError` of `coarsefine.model.errors`.
`TrialEnded` is none of these: it ends a call of a user's function.
"""


class SearchError(Exception):
    """Any error of `search`."""

    exit_code = 1


class UsageError(SearchError):
    """What was asked for does not exist, or does not fit what is stored."""

    exit_code = 2


class CampaignError(UsageError):
    """The campaign cannot be run as it is written, or is not the one that was begun."""


class NothingCompleted(SearchError):  # noqa: N818 - an outcome, named as one
    """A stage ended without a completed trial: there is nothing to narrow from, or to train."""

    exit_code = 3


class StorageError(SearchError):
    """The database cannot be used as it is. What was recorded before stays recorded."""

    exit_code = 5


class WorkersFailed(SearchError):  # noqa: N818 - an outcome, named as one
    """A worker process ended with an error, or workers die before they can begin. What was recorded stays recorded."""

    def __init__(self, told: str, exit_code: int) -> None:
        super().__init__(told)
        self.exit_code = exit_code


class Interrupted(SearchError):  # noqa: N818 - an outcome, named as one
    """Stopped on request. Unfinished slots wait for the next run."""

    exit_code = 130


class TrialEnded(BaseException):
    """Raised by `report` in a user's function, where its trial is pruned, or the run is stopped.

    Let it through, or tidy up and raise it again: nothing the function does afterwards counts. It is no `Exception`, so
    that `except Exception` lets it through, as it does `KeyboardInterrupt`.
    """
