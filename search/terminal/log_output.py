"""The logs of trials and workers on stdout: as they are, and as they grow."""

import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.errors import UsageError
from coarsefine.search.results.commands import command
from coarsefine.search.results.log_files import Follower, without_codes
from coarsefine.search.results.study import Study
from coarsefine.search.results.trial_files import logs_folder, trial_log
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.terminal.console import print_message

_POLL_SECONDS = 0.2
WORKER_LINES = 20
"""How many of the last lines of each worker's log are printed."""


def print_trial_log(storage: Storage, study: Study, trial: FrozenTrial, *, follow: bool) -> None:
    """Print the log of a trial; with `follow`, also what is appended to it until the trial has ended.

    Raises `UsageError` if there is none.
    """
    campaign, stage = study.attrs["campaign"], study.attrs["stage"]
    path = trial_log(storage.location, campaign, stage, trial.number)
    follower, name = Follower(lambda: [path]), f"{stage}#{trial.number}"
    if not path.is_file() and (not follow or trial.state.is_finished()):
        raise UsageError(_why_no_log(storage.location, study, trial, name, path))
    if not path.is_file():
        print_message(f"{name} has printed nothing yet.")
    ended = trial.state.is_finished()
    while True:
        _write(follower.new().values())
        if follower.is_behind:
            continue
        if ended or not follow:
            return
        time.sleep(_POLL_SECONDS)
        ended = storage.queries.has_ended(study.id, trial.number)  # then everything is in the log


def print_worker_logs(storage: Storage, campaign: str, *, follow: bool) -> None:
    """Print the last lines of the log of each worker; with `follow`, also what is appended, until interrupted.

    Raises `UsageError` if there is none.
    """
    folder = logs_folder(storage.location, campaign)
    follower = Follower(lambda: sorted(folder.glob("*.log")))
    follower.skip_all_but(WORKER_LINES)
    texts = follower.new()
    if not texts and not follow:
        raise UsageError(
            f"There are no logs of workers in {folder}: they are where the workers run, and a run with one worker has "
            f"none. The log of a trial: `{command('logs', campaign, storage.location, 'STAGE#NUMBER')}`."
        )
    last: Path | None = None
    while True:
        last = _write_named(texts, last)
        if not follower.is_behind:
            if not follow:
                return
            time.sleep(_POLL_SECONDS)
        texts = follower.new()


def _why_no_log(location: Location, study: Study, trial: FrozenTrial, name: str, path: Path) -> str:
    if "data" in study.attrs:
        workers = f"`{command('logs', study.attrs['campaign'], location)}` prints those of the workers"
        return f"Trials of the built-in network have no logs: {workers}."
    if trial.state is TrialState.WAITING:
        return f"{name} has not started, so it has no log yet."
    worker = trial.user_attrs.get("worker")
    where = f" It was trained by {worker}, and logs are where the trial ran." if worker else ""
    return f"There is no log of {name} at {path}: a trial that prints nothing has none.{where}"


def _write(texts: Iterable[bytes]) -> None:
    """Write texts as they are, but to a terminal without codes that could change its state."""
    shown = without_codes if sys.stdout.isatty() else str
    for text in texts:
        sys.stdout.write(shown(text.decode("utf-8", "replace")))
    sys.stdout.flush()


def _write_named(texts: Mapping[Path, bytes], last: Path | None) -> Path | None:
    """Write texts, each below the name of its file, unless it continues the one before; return the last file."""
    for path, text in texts.items():
        if path != last:
            sys.stdout.write(f"{'' if last is None else chr(10)}==> {path} <==\n")
        _write([text])
        last = path
    return last
