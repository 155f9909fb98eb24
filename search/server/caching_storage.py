"""Read the trials of a study repeatedly, each time only those that may have changed.

A page that read every trial again each second would take a processor away from the workers.
"""

import copy
import threading
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.storage.location import Location
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.tables import trials
from coarsefine.search.storage.trial_reader import as_text, read_trials, readable

_VERSIONS = sa.select(trials.c.trial_id, as_text(trials.c.state), trials.c.datetime_complete)
_Version = tuple[str, datetime | None]


@dataclass(frozen=True, slots=True)
class _Read:
    version: _Version
    """State and end. A trial has changed if they differ; a running trial may have changed if they do not."""
    trial: FrozenTrial


class CachingStorage(Storage):
    """An Optuna storage that reads again only the trials that may have changed. Threads may share it.

    optuna-dashboard takes its trials from it, too, and so reads as little as we do.
    """

    def __init__(self, location: Location) -> None:
        super().__init__(location)
        self._lock = threading.Lock()
        self._read: dict[int, dict[int, _Read]] = {}
        self._trials: dict[int, tuple[FrozenTrial, ...]] = {}

    def trials_of(self, study_id: int) -> tuple[FrozenTrial, ...]:
        """Return a study's trials by number: the same tuple as before if none has changed, () if there is no study.

        Callers share the trials and must not change them. Raises `UnreadableTrials` or another `StorageError`.
        """
        with self._lock, self.guarded(), self.engine.connect() as connection, readable(study_id):
            self._update(connection, study_id)
            return self._trials.get(study_id, ())

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return a study's trials."""
        self.get_study_name_from_id(study_id)  # raises Optuna's KeyError if there is no such study
        found = [trial for trial in self.trials_of(study_id) if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def _update(self, connection: sa.Connection, study_id: int) -> None:
        before = self._read.get(study_id, {})
        rows = connection.execute(_VERSIONS.where(trials.c.study_id == study_id))
        versions = {trial_id: (state, end) for trial_id, state, end in rows}
        now = _updated(connection, before, versions)
        if now != before:
            self._read[study_id] = now
            self._trials[study_id] = tuple(sorted((read.trial for read in now.values()), key=attrgetter("number")))


def _updated(connection: sa.Connection, before: dict[int, _Read], versions: dict[int, _Version]) -> dict[int, _Read]:
    """Return what was read before, with the trials that may have changed read again."""
    running = TrialState.RUNNING.name
    stale = [i for i, v in versions.items() if i not in before or before[i].version != v or v[0] == running]
    now = {i: before[i] for i in versions if i in before}
    return now | {i: _Read(versions[i], trial) for i, trial in read_trials(connection, stale).items()}
