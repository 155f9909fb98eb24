"""Optuna's storage on SQLite or PostgreSQL, with the lease queue in the same database.

A slot *is* an Optuna trial, stored as WAITING, so every study opens with `optuna.load_study`.
"""

from collections.abc import Collection, Container, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.space import Space
from coarsefine.search.campaign.words import join_words
from coarsefine.search.errors import StorageError
from coarsefine.search.storage import sqlite
from coarsefine.search.storage.accepted_sources import accept_source, accept_versions
from coarsefine.search.storage.database import Database, storage_errors
from coarsefine.search.storage.deletion import delete_studies, discard_studies
from coarsefine.search.storage.dialect import engine_options
from coarsefine.search.storage.failed_slots import StageRetry, are_final, retry_slots
from coarsefine.search.storage.lease_owner import Owner
from coarsefine.search.storage.lease_queue import LeaseQueue, OnceLock
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.readable_trials import Unreadable, UnreadableTrials, read_readable
from coarsefine.search.storage.seal import set_attrs
from coarsefine.search.storage.slots import Slot
from coarsefine.search.storage.study_headers import StudyHeader, headers_of, headers_query, named_like
from coarsefine.search.storage.study_queries import StudyQueries
from coarsefine.search.storage.study_writer import has_identity, write_next, write_study
from coarsefine.search.storage.tables import Attrs
from coarsefine.search.storage.trial_reader import ids_of

LEASE_SECONDS = 300.0
"""How long a lease lasts unless it is renewed. A worker renews far more often, however long its epochs are."""
_NAMED = 3
"""The most trials that an error names."""
NO_PARENTS: Mapping[int, int] = MappingProxyType({})


class Storage(RDBStorage):
    """A storage opened by one process, which owns its leases. Use `open_storage` or `create_storage` to make one.

    `queue` claims and records slots, `once` locks work that is done once for a study, `queries` reads a study.
    """

    def __init__(
        self, location: Location, *, new: bool = False, checked: bool = False, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self.location = location
        self.lease_seconds = lease_seconds
        with ExitStack() as undo:
            undo.callback(self._disconnect)
            with self.guarded():
                super().__init__(
                    location.url.replace("{", "{{").replace("}", "}}"),  # Optuna sends it through `str.format`
                    engine_kwargs=engine_options(location),
                    skip_compatibility_check=checked,
                    skip_table_creation=not new,
                )
            self.owner = Owner()
            undo.pop_all()
        self.database = Database(self.engine, location)
        self.queue = LeaseQueue(self.database, self.owner, lease_seconds)
        self.once = OnceLock(self.database, self.owner, lease_seconds)
        self.queries = StudyQueries(self.database)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the storage: another process opens it as a worker of its own."""
        return partial(type(self), lease_seconds=self.lease_seconds), (self.location,)

    def open_study(  # noqa: PLR0913 - all that a study is made of
        self,
        name: str,
        attrs: Attrs,
        space: Space,
        slots: Sequence[Slot],
        system_attrs: Attrs | None = None,
        *,
        after: int | None = None,
        direction: Direction = Direction.MAXIMIZE,
        parents: Mapping[int, int] = NO_PARENTS,
    ) -> bool:
        """Write a study, its attributes and all its slots in one transaction, unless it exists.

        `system_attrs` and `direction` are read by Optuna and its dashboard. `after` is the id of the study of the stage
        before: it stores the new study's name, so that nobody opens that study again if another program deletes it.
        `parents` are the studies that it follows from, by id, with the number of their retries. If they were retried
        since, or while slots of theirs wait, nothing is written, and the result is False.
        """

        def write(connection: sa.Connection) -> bool:
            if not are_final(connection, parents):
                return False
            written = write_study(connection, name, attrs, space, slots, system_attrs or {}, direction)
            if written and after is not None:
                write_next(connection, after, name, attrs)
            return True

        return self.database.transact(write)

    def retry(self, retries: Sequence[StageRetry], known: Collection[int], unopened: Collection[str]) -> bool:
        """Let failed slots wait again in one transaction; return False if a study was opened meanwhile.

        `known` are the ids of the campaign's studies, and `unopened` the names of those that do not exist yet. Raises
        `UsageError` if a slot has not failed, or if the winner has been or is being trained.
        """
        return self.database.transact(lambda connection: retry_slots(connection, retries, known, unopened))

    def delete_studies(self, names: Collection[str]) -> None:
        """Delete studies by name in one transaction; raise `UsageError` while a process trains one of them."""
        self.database.transact(lambda connection: delete_studies(connection, names))

    def accept_source(self, study_ids: Collection[int], objective: Attrs, diff: str | None) -> None:
        """Record in one transaction that studies go on with a changed objective, unless they do so already."""
        self.database.transact(lambda connection: accept_source(connection, study_ids, objective, diff))

    def accept_versions(self, study_ids: Collection[int], present: Attrs) -> None:
        """Record in one transaction that studies go on with other versions, unless they do so already."""
        self.database.transact(lambda connection: accept_versions(connection, study_ids, present))

    def discard(self, study_ids: Sequence[int]) -> bool:
        """Delete studies of a campaign that has no result and is not in training; return whether they were deleted."""
        return self.database.transact(lambda connection: discard_studies(connection, study_ids))

    def set_study_attrs(self, study_id: int, attrs: Attrs, identity: str | None = None) -> None:
        """Set user attributes of a study in one transaction.

        Raises `StorageError` if another program has deleted the study, or if it does not have the `identity`.
        """

        def write(connection: sa.Connection) -> None:
            if not has_identity(connection, study_id, identity):
                raise StorageError(f"Another program has deleted study {study_id} from {self.location}.")
            set_attrs(connection, study_id, attrs)

        self.database.transact(write)

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return all studies as Optuna reads them, again if the connection is cut."""
        return self.database.persist(lambda: RDBStorage.get_all_studies(self))

    def headers(self, prefix: str) -> list[StudyHeader]:
        """Return the studies whose names begin with a prefix, without their trials."""
        return headers_of(self.database.read(headers_query(named_like(prefix))))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return a study's trials as Optuna reads them, again if the connection is cut."""
        return self.database.persist(lambda: RDBStorage.get_all_trials(self, study_id, deepcopy, states))

    def trials_of(self, study_id: int) -> tuple[FrozenTrial, ...]:
        """Return a study's trials by number, () if there is no study; much faster than `get_all_trials`.

        Raises `UnreadableTrials` or another `StorageError`.
        """
        found, damaged = self.readable_trials_of(study_id)
        if damaged:
            names = [study.name for study in self.queries.names() if study.study_id == study_id]
            raise UnreadableTrials(
                f"{' '.join(names)}: {join_words([str(trial) for trial in damaged[:_NAMED]])} cannot be read. Another "
                "program has changed what Coarsefine recorded: restore the storage from a backup, or start the "
                "campaign under another name or --storage."
            )
        return found

    def readable_trials_of(self, study_id: int) -> tuple[tuple[FrozenTrial, ...], tuple[Unreadable, ...]]:
        """Return the trials of a study that can be read, by number, and those that cannot."""

        def read(connection: sa.Connection) -> tuple[tuple[FrozenTrial, ...], tuple[Unreadable, ...]]:
            found, damaged = read_readable(connection, ids_of(connection, study_id))
            return tuple(sorted(found.values(), key=attrgetter("number"))), tuple(damaged.values())

        return self.database.survey(read)

    @property
    def backup_pays(self) -> bool:
        """Return whether a copy at this moment costs little of the time since the last one."""
        return self.location.path is not None and sqlite.backup_pays(self.location.path)

    def back_up(self, label: str) -> None:
        """Copy a SQLite file as it is now; a PostgreSQL database is backed up by its administrator.

        Raises `StorageError` where there is no room for the copy.
        """
        if self.location.path:
            sqlite.back_up(self.location.path, label)

    def close(self) -> None:
        """Close all connections, and leave the slots this process still holds to others."""
        self.owner.leave()
        self.database.close()
        self._disconnect()

    def guarded(self) -> AbstractContextManager[None]:
        """Turn the database's errors into a `StorageError` that names the location, the cause and the remedy."""
        return storage_errors(self.location)

    def _disconnect(self) -> None:
        if hasattr(self, "scoped_session"):  # else the storage was never opened
            self.remove_session()
            self.engine.dispose()
