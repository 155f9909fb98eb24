"""The storage of studies: Optuna's own, and the leased queue that makes each slot be trained to its end exactly once.

A slot *is* an Optuna trial, written WAITING. A worker claims slots (RUNNING, under a lease), records each epoch of
its whole stack, and ends them; each of these is one transaction, fenced by the lease's owner and attempt, and expiry
goes by the database's clock. A lease that ran out, or whose process is gone from this machine, lets the same row be
claimed again. A transaction whose connection was cut is tried again whole: done twice, each leaves what it leaves
once.
"""

import json
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.schema import CreateTable

from coarsefine.search.campaign.space import Space
from coarsefine.search.errors import StorageError
from coarsefine.search.storage import backups, lease_queue, postgresql, sqlite
from coarsefine.search.storage.dialect import Now, engine_options, insert_once, transaction, upsert
from coarsefine.search.storage.location import Location, at_file, disk_errors, told
from coarsefine.search.storage.parameters import with_points
from coarsefine.search.storage.retry import persist
from coarsefine.search.storage.slots import (
    Claim,
    FinishedTrial,
    Owner,
    Record,
    Slot,
    is_gone,
)
from coarsefine.search.storage.tables import (
    ENDINGS,
    IS_SLOT,
    PROGRESS,
    TRAINERS,
    directions,
    lease,
    rows_of,
    steps,
    studies,
    study_attrs,
    study_system_attrs,
    trials,
)

LEASE_SECONDS = 300.0
"""How long a lease lasts without a sign of life. A worker gives one far more often, however long its epochs."""

_T = TypeVar("_T")
Row = sa.Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study has come, whoever trains it."""

    trials: int
    ended: int
    running: int
    epochs: int
    """Recorded of the trials that are being trained."""
    leading: float | None
    """The highest accuracy of any of these epochs."""
    workers: int
    """How many hold slots of it, and live as far as that can be told."""


class Storage(RDBStorage):
    """Optuna's storage on SQLite or PostgreSQL, with the leased queue. Made by `open_storage` and `create_storage`."""

    def __init__(
        self, location: Location, *, new: bool = False, checked: bool = False, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self.location = location
        self.owner = Owner()
        self.lease_seconds = lease_seconds
        self._held: dict[int, int] = {}
        with self.guarded(), ExitStack() as undone:
            undone.callback(self._close_unfinished)
            super().__init__(
                location.url.replace("{", "{{").replace("}", "}}"),  # Optuna sends it through `str.format`
                engine_kwargs=engine_options(location),
                skip_compatibility_check=checked,
                skip_table_creation=not new,
            )
            undone.pop_all()

    def make_lease(self) -> None:
        """Make the queue's own table, where Optuna's stand without it."""
        with self.guarded(), transaction(self.engine) as connection:
            connection.execute(CreateTable(lease, if_not_exists=True))
            found = {column["name"] for column in sa.inspect(connection).get_columns(lease.name)}
        if not found >= set(lease.c.keys()):
            raise StorageError(
                f"{self.location}: its table 'lease' is of an earlier Coarsefine. Start anew under another --storage."
            )

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Come to life in another process, as a worker of its own."""
        super().__setstate__(state)
        self.owner, self._held = Owner(), {}

    def open_study(
        self,
        name: str,
        attrs: Mapping[str, Any],
        space: Space,
        slots: Sequence[Slot],
        system_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a study, its attributes and all its slots in one transaction; do nothing if it exists.

        `system_attrs` are those that Optuna and its dashboard read, beside the metric's name.
        """

        def write(connection: sa.Connection, *, again: bool) -> None:  # noqa: ARG001 - found, if it was made before
            once = insert_once(self.engine.name, studies, "study_name", {"study_name": name})
            study = connection.scalars(once.returning(studies.c.study_id)).one_or_none()
            if study is None:
                return
            direction = {"study_id": study, "objective": 0, "direction": StudyDirection.MAXIMIZE}
            connection.execute(directions.insert(), [direction])
            named = {"study:metric_names": ["validation accuracy"], **(system_attrs or {})}
            connection.execute(study_system_attrs.insert(), rows_of(named, study_id=study))
            connection.execute(study_attrs.insert(), rows_of(attrs, study_id=study))
            lease_queue.write_slots(connection, study, space, slots)

        self._transact(write)

    def claim(self, study_id: int, n: int, companions: lease_queue.Companions | None = None) -> list[Claim]:
        """Take up to n slots, lowest numbers first: waiting ones, and those whose worker is gone.

        Where `companions` is given, only those that it names of the first of them: none of them may be free but this.
        A slot that two workers died with comes alone; where three more die, it FAILs, with their story as its `reason`.
        """

        def take(connection: sa.Connection, *, again: bool) -> list[Claim]:
            if again:  # slots may have been claimed, and the answer lost: nobody would train them
                held = lease_queue.held_by(connection, self.owner)
                lease_queue.give_back(connection, sorted(held.keys() - self._held.keys()))
            lease_queue.reap(connection, self.owner)
            return lease_queue.take(connection, study_id, n, companions, self.owner, self.lease_seconds)

        claims = self._transact(take)
        self._held.update({claim.trial_id: claim.attempt for claim in claims})
        return claims

    def train(self, claims: Sequence[Claim]) -> None:
        """Note that this worker trains these of its slots now, and what else it holds waits.

        Freshly claimed slots are noted so already. Should a worker die, those in training alone are suspected.
        """

        def write(connection: sa.Connection, *, again: bool) -> None:  # noqa: ARG001 - noted twice, it is the same
            lease_queue.train(connection, self.owner, [claim.trial_id for claim in claims])

        self._transact(write)

    def record(self, records: Sequence[Record], holding: Sequence[Claim]) -> list[Claim]:
        """Record what a worker's slots did, and renew all leases it holds; return the claims that were lost meanwhile.

        What a lost claim computed is discarded: its slot belongs to someone else now.
        """

        def write(connection: sa.Connection, *, again: bool) -> list[Claim]:
            held = lease_queue.held_by(connection, self.owner)
            lost = [claim for claim in holding if held.get(claim.trial_id) != claim.attempt]
            if again:  # what ended may have ended by this very record
                lost = [claim for claim in lost if claim.trial_id not in _ended(connection, lost)]
            kept = [r for r in records if held.get(r.claim.trial_id) == r.claim.attempt]
            lease_queue.write(connection, kept)
            if len(held) > sum(record.state.is_finished() for record in kept):
                lease_queue.renew(connection, self.owner, self.lease_seconds)
            return lost

        lost = self._transact(write)
        self._let_go([*lost, *(record.claim for record in records if record.state.is_finished())])
        return lost

    def renew(self) -> None:
        """Let all leases of this worker last from now on."""

        def write(connection: sa.Connection, *, again: bool) -> None:  # noqa: ARG001 - renewed twice, they last as long
            if lease_queue.held_by(connection, self.owner):
                lease_queue.renew(connection, self.owner, self.lease_seconds)

        self._transact(write)

    def release(self, claims: Sequence[Claim]) -> None:
        """Give slots back, to be claimed again; nothing of them stays recorded."""

        def write(connection: sa.Connection, *, again: bool) -> None:  # noqa: ARG001 - what was given back is not held
            held = lease_queue.held_by(connection, self.owner)
            lease_queue.give_back(connection, [c.trial_id for c in claims if held.get(c.trial_id) == c.attempt])

        if claims:
            self._transact(write)
            self._let_go(claims)

    def acquire_once(self, study_id: int) -> bool:
        """Take, or renew, the right to what is done once for a study; tell whether it is this process's."""
        key = lease.c.trial_id == -study_id  # ids of trials are positive
        owner = self.owner
        right = {
            "owner": owner.id, "host": owner.host, "machine": owner.machine, "pid": owner.pid,
            "started": owner.started, "attempt": 1, "expires": Now() + self.lease_seconds,
        }  # fmt: skip
        held = sa.select(lease.c.owner, lease.c.machine, lease.c.pid, lease.c.started)
        found = held.add_columns((lease.c.expires < Now()).label("late")).where(key).with_for_update()

        def take(connection: sa.Connection, *, again: bool) -> bool:  # noqa: ARG001 - taken twice, it is ours
            row = {"trial_id": -study_id, **right}
            connection.execute(insert_once(self.engine.name, lease, "trial_id", row))
            holder = connection.execute(found).one()
            others = holder.owner != owner.id
            if others and not holder.late and not is_gone(holder.owner, holder.machine, holder.pid, holder.started):
                return False
            connection.execute(lease.update().where(key).values(right))
            return True

        return self._transact(take)

    def release_once(self, study_id: int) -> None:
        """Give up what `acquire_once` took."""

        def give(connection: sa.Connection, *, again: bool) -> None:  # noqa: ARG001 - gone is gone
            mine = (lease.c.trial_id == -study_id) & (lease.c.owner == self.owner.id)
            connection.execute(lease.delete().where(mine))

        self._transact(give)

    def values_after(self, study_id: int, epoch: int) -> dict[int, float]:
        """Return the accuracy after an epoch of each slot that came so far, by number; −∞ of those that ended before.

        Slots that may still come so far are left out.
        """
        reached = (steps.c.trial_id == trials.c.trial_id) & (steps.c.step == epoch)
        query = sa.select(trials.c.number, trials.c.state, steps.c.intermediate_value)
        found = query.where(trials.c.study_id == study_id).outerjoin_from(trials, steps, reached)
        return {
            number: -math.inf if value is None else value
            for number, state, value in self._read(found)
            if value is not None or state.is_finished()
        }

    def set_study_attrs(self, study_id: int, attrs: Mapping[str, Any]) -> None:
        """Set user attributes of a study in one transaction."""

        def write(connection: sa.Connection, *, again: bool) -> None:  # noqa: ARG001 - set twice, they are the same
            statement = upsert(self.engine.name, study_attrs, ("study_id", "key"), ("value_json",))
            connection.execute(statement, rows_of(attrs, study_id=study_id))

        self._transact(write)

    def progress(self, study_id: int) -> Progress:
        """Return how far a study has come."""
        rows = self._read(PROGRESS, study=study_id)
        counts = {row.state: row.trials for row in rows}
        return Progress(
            trials=sum(counts.values()),
            ended=sum(count for state, count in counts.items() if state.is_finished()),
            running=counts.get(TrialState.RUNNING, 0),
            epochs=sum(int(row.epochs) for row in rows),
            leading=next((row.leading for row in rows if row.leading is not None), None),
            workers=len(self._trainers(study_id)),
        )

    def finished_trials(self, study_id: int, low: int = 0) -> list[FinishedTrial]:
        """Return the slots numbered `low` or higher that have ended, in the order they did."""
        return [
            FinishedTrial(
                row.number, point, row.state, row.value, row.epochs,
                json.loads(row.reason) if row.reason is not None else None,
            )
            for row, point in with_points(self._read(ENDINGS, study=study_id, low=low))
        ]  # fmt: skip

    def count_unfinished(self, study_id: int) -> int:
        """Return how many slots have not ended."""
        left = trials.c.state.in_((TrialState.RUNNING, TrialState.WAITING))
        ours = (trials.c.study_id == study_id) & IS_SLOT
        count: int = self._read(sa.select(sa.func.count()).where(ours, left))[0][0]
        return count

    def count_training(self, study_id: int) -> int:
        """Return how many slots are being trained now: RUNNING under a lease whose holder lives."""
        return sum(row.slots for row in self._trainers(study_id))

    def _trainers(self, study_id: int) -> list[Row]:
        holders = self._read(TRAINERS, study=study_id)
        return [row for row in holders if not is_gone(row.owner, row.machine, row.pid, row.started)]

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return all studies, as Optuna reads them; tried again where the connection was cut."""
        return self._persist(lambda _: RDBStorage.get_all_studies(self))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return a study's trials, as Optuna reads them; tried again where the connection was cut."""
        return self._persist(lambda _: RDBStorage.get_all_trials(self, study_id, deepcopy, states))

    def back_up(self, label: str) -> None:
        """Keep a copy of a SQLite file as it is now; whoever runs a PostgreSQL server backs that up.

        Raises `StorageError` where there is no room for it.
        """
        if self.location.kind == "sqlite":
            backups.back_up(self.location.file, label)

    def close(self) -> None:
        """Close all connections, and leave whatever is still held to others."""
        self.owner.leave()
        self.remove_session()
        self.engine.dispose()

    def guarded(self) -> AbstractContextManager[None]:
        """Turn the database's errors into a `StorageError` that names the place, the cause and the remedy."""
        return _guarded(self.location)

    def _close_unfinished(self) -> None:
        if hasattr(self, "scoped_session"):
            self.close()

    def _persist(self, work: Callable[[bool], _T]) -> _T:
        with self.guarded():
            return persist(work)

    def _transact(self, work: Callable[..., _T]) -> _T:
        def whole(again: bool) -> _T:
            with transaction(self.engine) as connection:
                return work(connection, again=again)

        return self._persist(whole)

    def _read(self, query: sa.Select[*tuple[Any, ...]], **bound: Any) -> Sequence[Row]:
        def whole(_: bool) -> Sequence[Row]:
            with self.engine.connect() as connection:
                return connection.execute(query, bound).all()

        return self._persist(whole)

    def _let_go(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self._held.pop(claim.trial_id, None)


def _ended(connection: sa.Connection, claims: Sequence[Claim]) -> set[int]:
    found = connection.execute(
        sa.select(trials.c.trial_id, trials.c.state).where(trials.c.trial_id.in_([c.trial_id for c in claims]))
    )
    return {row.trial_id for row in found if row.state.is_finished()}


@contextmanager
def _guarded(location: Location) -> Iterator[None]:
    try:
        with disk_errors(location):
            yield
    except (sa.exc.SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        raise StorageError(told(location, error)) from error


def storage_exists(location: Location) -> bool:
    """Tell whether a location holds studies, or something in their place."""
    if location.kind == "sqlite":
        return location.file.exists()
    with _guarded(location):
        return postgresql.has_tables(location)


def server_version(location: Location) -> str:
    """Return the version of a PostgreSQL server; raise `StorageError` where it cannot be reached."""
    with _guarded(location):
        return postgresql.server_version(location)


def open_storage(
    location: Location,
    *,
    writing: bool = False,
    patient: bool = False,
    checked: bool = False,
    lease_seconds: float = LEASE_SECONDS,
) -> Storage:
    """Open an existing storage; raise `StorageError` where it is missing, damaged or not Optuna's.

    `patient` waits for a server that just restarts: for a worker that comes amid a campaign, not for a first look at
    an address that may be wrong. `checked` does not ask whether its tables are of this Optuna.
    """

    def open_it(_: bool) -> Storage:
        check_storage(location, writing=writing)
        return Storage(location, checked=checked, lease_seconds=lease_seconds)

    return persist(open_it) if patient else open_it(False)


def check_storage(location: Location, *, writing: bool) -> None:
    """Raise `StorageError` unless a location holds studies that may be read, and written if asked."""
    if location.kind == "sqlite":
        sqlite.check(location.file, writing=writing)
    elif not storage_exists(location):
        raise StorageError(f"{location} holds no studies: start a campaign with `coarsefine run`, or give --storage.")


def create_storage(location: Location) -> Storage:
    """Open the storage to write in, making file and tables if there are none: for the process that starts workers."""
    storage = _make_file(location) if location.kind == "sqlite" else _make_tables(location)
    try:
        storage.make_lease()
    except BaseException:
        storage.close()
        raise
    return storage


def _make_file(location: Location) -> Storage:
    path = location.file
    sqlite.file_system(path)
    if not path.exists():
        with sqlite.new_file(path) as unfinished:
            Storage(at_file(unfinished), new=True).close()
            sqlite.set_journal(unfinished)
    sqlite.check(path, writing=True)
    sqlite.heed_journal(path)  # before a connection of our own is in its way
    return Storage(location)


def _make_tables(location: Location) -> Storage:
    with _guarded(location), postgresql.making_tables(location):
        return Storage(location, new=not postgresql.has_tables(location))
