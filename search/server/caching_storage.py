"""Read the trials of a study repeatedly, each time only those that may have changed.

A page that read every trial again each second would take a processor away from the workers.
"""

import copy
import threading
from collections.abc import Container
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from optuna.storages import BaseStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.errors import StorageError
from coarsefine.search.storage.dialect import reading
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.readable_trials import Unreadable, read_readable
from coarsefine.search.storage.tables import trials
from coarsefine.search.storage.trial_reader import as_text

_VERSIONS = sa.select(trials.c.trial_id, *map(as_text, (trials.c.state, trials.c.datetime_complete)))
_Version = tuple[str, Any]


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
        self._unreadable: dict[int, tuple[Unreadable, ...]] = {}

    def trials_of(self, study_id: int) -> tuple[FrozenTrial, ...]:
        """Return a study's trials by number: the same tuple as before if none has changed, () if there is no study.

        Callers share the trials and must not change them. Those that cannot be read are left out.
        """
        return self.readable_trials_of(study_id)[0]

    def readable_trials_of(self, study_id: int) -> tuple[tuple[FrozenTrial, ...], tuple[Unreadable, ...]]:
        """Return the trials of a study that can be read, by number, and those that cannot."""
        with self._lock, self.guarded(), reading(self.engine) as connection:
            self._update(connection, study_id)
            return self._trials.get(study_id, ()), self._unreadable.get(study_id, ())

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return the studies whose attributes can be read: optuna-dashboard shows these."""
        try:
            return super().get_all_studies()
        except (ValueError, RecursionError, StorageError):
            found = [self._frozen(study.study_id, study.name) for study in self.queries.names()]
            return [study for study in found if study is not None]

    def _frozen(self, study_id: int, name: str) -> FrozenStudy | None:
        try:
            user, system = self.get_study_user_attrs(study_id), self.get_study_system_attrs(study_id)
            return FrozenStudy(name, None, user, system, study_id, directions=self.get_study_directions(study_id))
        except (ValueError, RecursionError, KeyError):
            return None

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return a study's trials."""
        self.get_study_name_from_id(study_id)  # raises Optuna's KeyError if there is no such study
        found = [trial for trial in self.trials_of(study_id) if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """Return the best of a study's trials that can be read: a database may take a damaged value for the best."""
        return BaseStorage.get_best_trial(self, study_id)

    def _update(self, connection: sa.Connection, study_id: int) -> None:
        before = self._read.get(study_id, {})
        rows = connection.execute(_VERSIONS.where(trials.c.study_id == study_id))
        versions = {trial_id: (state, end) for trial_id, state, end in rows}
        now, damaged = _updated(connection, before, versions)
        self._unreadable[study_id] = tuple(damaged.values())
        if now != before:
            self._read[study_id] = now
            self._trials[study_id] = tuple(sorted((read.trial for read in now.values()), key=attrgetter("number")))


def _updated(
    connection: sa.Connection, before: dict[int, _Read], versions: dict[int, _Version]
) -> tuple[dict[int, _Read], dict[int, Unreadable]]:
    """Return what was read before, with the trials that may have changed read again, and those that cannot be read."""
    running = TrialState.RUNNING.name
    stale = [i for i, v in versions.items() if i not in before or before[i].version != v or v[0] == running]
    found, damaged = read_readable(connection, stale)
    now = {i: before[i] for i in versions if i in before and i not in damaged}
    return now | {i: _Read(versions[i], trial) for i, trial in found.items()}, damaged
