"""The queue of slots: Optuna's own tables, and a lease table that makes each slot be trained to its end exactly once.

A slot *is* an Optuna trial, written WAITING. A worker claims slots (RUNNING, under a lease), records each epoch of
its whole stack, and ends them; each of these is one transaction, fenced by the lease's owner and attempt, and expiry
goes by the database's clock. A lease that ran out, or whose process is gone from this machine, lets the same row be
claimed again.
"""

import json
import math
import os
import socket
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa
from optuna.distributions import FloatDistribution, distribution_to_json
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.dialects.sqlite import insert

from search import database
from search.errors import StorageError
from search.space import Point, Space

LEASE_SECONDS = 300.0
"""How long a lease lasts without a sign of life: longer than any epoch of a stack takes."""

_own = sa.MetaData()
_lease = sa.Table(
    "lease",
    _own,
    sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started", sa.Float, nullable=False),
)
_studies, _trials = models.StudyModel.__table__, models.TrialModel.__table__
_directions, _study_attrs = models.StudyDirectionModel.__table__, models.StudyUserAttributeModel.__table__
_study_system_attrs = models.StudySystemAttributeModel.__table__
_params, _attrs = models.TrialParamModel.__table__, models.TrialUserAttributeModel.__table__
_values, _steps = models.TrialValueModel.__table__, models.TrialIntermediateValueModel.__table__
_FINITE = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE


@dataclass(frozen=True, slots=True)
class Slot:
    """A planned trial: its number in the stage, its point, and the seed of its initial weights."""

    number: int
    point: Point
    seed: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A slot under lease: the right to record it, until the lease runs out."""

    trial_id: int
    attempt: int
    slot: Slot


@dataclass(frozen=True, slots=True)
class Record:
    """What a worker has to tell of a claimed slot."""

    claim: Claim
    steps: Mapping[int, float]
    """Validation accuracies of the epochs since the last record, by epoch."""
    value: float | None
    """The newest accuracy, of these or earlier epochs; the trial's value if it ends here."""
    attrs: Mapping[str, Any]
    """User attributes that hold the history so far."""
    state: TrialState
    """RUNNING, or how the trial ends: COMPLETE, PRUNED or FAIL."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study has come, whoever trains it."""

    trials: int
    ended: int
    epochs: int
    """Recorded of the trials that are being trained."""
    best: float | None
    """The best value of a completed trial."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lease: a process, told apart from another that once had its number."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    started: float = field(default_factory=lambda: psutil.Process().create_time())


class Storage(RDBStorage):
    """Optuna's storage on a SQLite file, with the leased queue. Made by `open_storage` and `make_storage`."""

    def __init__(self, path: Path, *, new: bool = False) -> None:
        self.path = path
        self.owner = Owner()
        with self.guarded():
            super().__init__(
                database.url_of(path),
                engine_kwargs={"connect_args": {"timeout": database.BUSY_SECONDS}},
                skip_table_creation=not new,
            )
            _own.create_all(self.engine)

    def open_study(self, name: str, attrs: Mapping[str, Any], space: Space, slots: Sequence[Slot]) -> None:
        """Write a study, its attributes and all its slots in one transaction; do nothing if it exists."""
        with self._transaction() as connection:
            if connection.scalar(sa.select(_studies.c.study_id).where(_studies.c.study_name == name)) is not None:
                return
            study = connection.scalars(_studies.insert().values(study_name=name).returning(_studies.c.study_id)).one()
            direction = {"study_id": study, "objective": 0, "direction": StudyDirection.MAXIMIZE}
            connection.execute(_directions.insert(), [direction])
            named = {"study:metric_names": ["validation accuracy"]}
            connection.execute(_study_system_attrs.insert(), _rows(named, study_id=study))
            connection.execute(_study_attrs.insert(), _rows(attrs, study_id=study))
            _write_slots(connection, study, space, slots)

    def claim(self, study_id: int, n: int) -> list[Claim]:
        """Take up to n slots, lowest numbers first: waiting ones, and those whose worker is gone."""
        with self._transaction() as connection:
            self._expire_the_dead(connection)
            free = (_trials.c.state == TrialState.WAITING) | (
                (_trials.c.state == TrialState.RUNNING) & (_lease.c.expires.is_(None) | (_lease.c.expires < _now()))
            )
            attempts = sa.func.coalesce(_lease.c.attempt, 0).label("attempts")
            found = connection.execute(
                sa.select(_trials.c.trial_id, _trials.c.number, attempts)
                .outerjoin(_lease, _lease.c.trial_id == _trials.c.trial_id)
                .where(_trials.c.study_id == study_id, free)
                .order_by(_trials.c.number)
                .limit(n)
            ).all()
            return self._lease_slots(connection, found) if found else []

    def record(self, records: Sequence[Record], holding: Sequence[Claim]) -> list[Claim]:
        """Record what a worker's slots did, and renew all leases it holds; return the claims that were lost meanwhile.

        What a lost claim computed is discarded: its slot belongs to someone else now.
        """
        with self._transaction() as connection:
            held = self._renew(connection)
            lost = [claim for claim in holding if held.get(claim.trial_id) != claim.attempt]
            _write(connection, [record for record in records if record.claim not in lost])
        return lost

    def values_after(self, study_id: int, epoch: int) -> dict[int, float]:
        """Return the accuracy after an epoch of each slot that came so far, by number; −∞ of those that ended before.

        Slots that may still come so far are left out.
        """
        reached = (_steps.c.trial_id == _trials.c.trial_id) & (_steps.c.step == epoch)
        query = sa.select(_trials.c.number, _trials.c.state, _steps.c.intermediate_value).where(
            _trials.c.study_id == study_id
        )
        with self.guarded(), self.engine.connect() as connection:
            rows = connection.execute(query.outerjoin_from(_trials, _steps, reached)).all()
        return {
            number: -math.inf if value is None else value
            for number, state, value in rows
            if value is not None or state.is_finished()
        }

    def release(self, claims: Sequence[Claim]) -> None:
        """Give slots back untrained, to be claimed again from their first epoch."""
        if not claims:
            return
        with self._transaction() as connection:
            held = self._renew(connection)
            mine = [claim.trial_id for claim in claims if held.get(claim.trial_id) == claim.attempt]
            _forget_epochs(connection, mine)
            waiting = {"state": TrialState.WAITING, "datetime_start": None}
            connection.execute(_trials.update().where(_trials.c.trial_id.in_(mine)).values(waiting))
            connection.execute(_lease.delete().where(_lease.c.trial_id.in_(mine)))

    def set_study_attrs(self, study_id: int, attrs: Mapping[str, Any]) -> None:
        """Set user attributes of a study in one transaction."""
        with self._transaction() as connection:
            _upsert(connection, _study_attrs, _rows(attrs, study_id=study_id), ("study_id", "key"))

    def progress(self, study_id: int) -> Progress:
        """Return how far a study has come."""
        ours = _trials.c.study_id == study_id
        states = sa.select(_trials.c.state, sa.func.count()).where(ours).group_by(_trials.c.state)
        steps = sa.select(sa.func.count()).select_from(_steps.join(_trials, _trials.c.trial_id == _steps.c.trial_id))
        best = sa.select(sa.func.max(_values.c.value)).join(_trials, _trials.c.trial_id == _values.c.trial_id)
        with self.guarded(), self.engine.connect() as connection:
            counts = {row[0]: row[1] for row in connection.execute(states)}
            return Progress(
                trials=sum(counts.values()),
                ended=sum(count for state, count in counts.items() if state.is_finished()),
                epochs=connection.scalars(steps.where(ours, _trials.c.state == TrialState.RUNNING)).one(),
                best=connection.scalars(best.where(ours, _trials.c.state == TrialState.COMPLETE)).one(),
            )

    def unfinished(self, study_id: int) -> int:
        """Return how many slots have not ended."""
        left = _trials.c.state.in_((TrialState.RUNNING, TrialState.WAITING))
        with self.guarded(), self.engine.connect() as connection:
            query = sa.select(sa.func.count()).select_from(_trials).where(_trials.c.study_id == study_id, left)
            return connection.scalars(query).one()

    def live(self, study_id: int) -> int:
        """Return how many slots are being trained now: RUNNING under a lease whose holder lives."""
        held = (
            sa.select(_lease.c.host, _lease.c.pid, _lease.c.started)
            .join(_trials, _trials.c.trial_id == _lease.c.trial_id)
            .where(
                _trials.c.study_id == study_id,
                _trials.c.state == TrialState.RUNNING,
                _lease.c.expires >= _now(),
            )
        )
        with self.guarded(), self.engine.connect() as connection:
            leases = connection.execute(held).all()
        return sum(host != self.owner.host or _alive(pid, started) for host, pid, started in leases)

    def close(self) -> None:
        """Close all connections."""
        self.remove_session()
        self.engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        # AUTOCOMMIT keeps the driver from opening a transaction of its own, which would start as a reader and
        # fail on its first write if anyone else wrote in between.
        with self.guarded(), self._engine_in_autocommit.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")

    @cached_property
    def _engine_in_autocommit(self) -> sa.Engine:
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn the database's errors into a `StorageError` that names the file, the cause and the remedy."""
        try:
            with database.disk_errors(self.path):
                yield
        except (sa.exc.SQLAlchemyError, StorageInternalError, RuntimeError) as error:
            raise StorageError(database.told(self.path, error)) from error

    def _lease_slots(self, connection: sa.Connection, found: Sequence[sa.Row[Any]]) -> list[Claim]:
        ids = [row.trial_id for row in found]
        owner = self.owner
        holder = {"owner": owner.id, "host": owner.host, "pid": owner.pid, "started": owner.started}
        leases = [{"trial_id": row.trial_id, "attempt": row.attempts + 1, **holder} for row in found]
        _forget_epochs(connection, ids)
        running = {"state": TrialState.RUNNING, "datetime_start": _utc()}
        connection.execute(_trials.update().where(_trials.c.trial_id.in_(ids)).values(running))
        connection.execute(_lease.delete().where(_lease.c.trial_id.in_(ids)))
        connection.execute(_lease.insert().values(expires=_now() + LEASE_SECONDS), leases)
        slots = _read_slots(connection, {row.trial_id: row.number for row in found})
        return [Claim(row.trial_id, row.attempts + 1, slots[row.trial_id]) for row in found]

    def _renew(self, connection: sa.Connection) -> dict[int, int]:
        """Renew every lease of this worker; return the attempt of each, by trial."""
        mine = _lease.c.owner == self.owner.id
        connection.execute(_lease.update().where(mine).values(expires=_now() + LEASE_SECONDS))
        held = connection.execute(sa.select(_lease.c.trial_id, _lease.c.attempt).where(mine))
        return {row.trial_id: row.attempt for row in held}

    def _expire_the_dead(self, connection: sa.Connection) -> None:
        """End at once the leases of processes that are gone from this machine."""
        holders = sa.select(_lease.c.owner, _lease.c.pid, _lease.c.started).distinct()
        for owner, pid, started in connection.execute(holders.where(_lease.c.host == self.owner.host)).all():
            if owner != self.owner.id and not _alive(pid, started):
                connection.execute(_lease.update().where(_lease.c.owner == owner).values(expires=0.0))


def open_storage(path: Path, *, writing: bool = False) -> Storage:
    """Open an existing storage; raise `StorageError` where it is missing, damaged or not Optuna's."""
    database.check(path, writing=writing)
    return Storage(path)


def make_storage(path: Path) -> Storage:
    """Open the storage to write in, making the file if there is none."""
    if not path.exists():
        with database.new_file(path) as unfinished:
            Storage(unfinished, new=True).close()
            _set_journal(unfinished)
    return open_storage(path, writing=True)


def _set_journal(path: Path) -> None:
    mode = database.journal_mode()
    connection = sqlite3.connect(path)
    try:
        took = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0]
    finally:
        connection.close()
    if took != mode:
        raise StorageError(f"{path}: SQLite kept the journal mode {took} where {mode} was asked. Use a local disk.")


def _write_slots(connection: sa.Connection, study: int, space: Space, slots: Sequence[Slot]) -> None:
    waiting = [{"number": slot.number, "study_id": study, "state": TrialState.WAITING} for slot in slots]
    connection.execute(_trials.insert(), waiting)
    written = connection.execute(sa.select(_trials.c.number, _trials.c.trial_id).where(_trials.c.study_id == study))
    ids = {row.number: row.trial_id for row in written}
    forms = {
        "eta": distribution_to_json(FloatDistribution(space.eta.low, space.eta.high, log=True)),
        "lambda": distribution_to_json(FloatDistribution(space.lam.low, space.lam.high, log=True)),
    }
    params = [
        {
            "trial_id": ids[slot.number],
            "param_name": name,
            "param_value": value,
            "distribution_json": forms[name],
        }
        for slot in slots
        for name, value in (("eta", slot.point.eta), ("lambda", slot.point.lam))
    ]
    connection.execute(_params.insert(), params)
    seeds = [row for slot in slots for row in _rows({"seed": slot.seed}, trial_id=ids[slot.number])]
    connection.execute(_attrs.insert(), seeds)


def _read_slots(connection: sa.Connection, numbers: Mapping[int, int]) -> dict[int, Slot]:
    """Return the slots of trials, whose numbers are given by their ids."""
    points: dict[int, dict[str, float]] = {trial_id: {} for trial_id in numbers}
    named = sa.select(_params.c.trial_id, _params.c.param_name, _params.c.param_value)
    for trial_id, name, value in connection.execute(named.where(_params.c.trial_id.in_(numbers))):
        points[trial_id][name] = value
    kept = sa.select(_attrs.c.trial_id, _attrs.c.value_json).where(_attrs.c.key == "seed")
    seeds = {
        row.trial_id: json.loads(row.value_json)
        for row in connection.execute(kept.where(_attrs.c.trial_id.in_(numbers)))
    }
    return {
        trial_id: Slot(number, Point(points[trial_id]["eta"], points[trial_id]["lambda"]), seeds[trial_id])
        for trial_id, number in numbers.items()
    }


def _write(connection: sa.Connection, records: Sequence[Record]) -> None:
    """Write the records of a stack, each table in one statement."""
    steps = [
        {
            "trial_id": record.claim.trial_id,
            "step": epoch,
            "intermediate_value": value,
            "intermediate_value_type": _FINITE,
        }
        for record in records
        for epoch, value in record.steps.items()
    ]
    if steps:
        connection.execute(_steps.insert(), steps)
    attrs = [row for record in records for row in _rows(record.attrs, trial_id=record.claim.trial_id)]
    _upsert(connection, _attrs, attrs, ("trial_id", "key"))
    _end(connection, [record for record in records if record.state.is_finished()])


def _end(connection: sa.Connection, records: Sequence[Record]) -> None:
    if not records:
        return
    values = [
        {
            "trial_id": r.claim.trial_id,
            "objective": 0,
            "value": r.value,
            "value_type": models.TrialValueModel.TrialValueType.FINITE,
        }
        for r in records
        if r.state is not TrialState.FAIL
    ]
    if values:
        connection.execute(_values.insert(), values)
    for state in {record.state for record in records}:
        ids = [record.claim.trial_id for record in records if record.state is state]
        ended = {"state": state, "datetime_complete": _utc()}
        connection.execute(_trials.update().where(_trials.c.trial_id.in_(ids)).values(ended))
    connection.execute(_lease.delete().where(_lease.c.trial_id.in_([record.claim.trial_id for record in records])))


def _forget_epochs(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Remove what unfinished attempts recorded: the next begin with the first epoch, and repeat it to the bit."""
    connection.execute(_steps.delete().where(_steps.c.trial_id.in_(ids)))
    connection.execute(_attrs.delete().where(_attrs.c.trial_id.in_(ids), _attrs.c.key != "seed"))


def _rows(attrs: Mapping[str, Any], **owner: int) -> list[dict[str, Any]]:
    return [{**owner, "key": key, "value_json": json.dumps(value)} for key, value in attrs.items()]


def _upsert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]], unique: tuple[str, ...]) -> None:
    if not rows:
        return
    statement = insert(table)
    replaced = {"value_json": statement.excluded.value_json}
    connection.execute(statement.on_conflict_do_update(index_elements=unique, set_=replaced), rows)


def _now() -> sa.ColumnElement[float]:
    """Return the database's clock, in seconds since 1970."""
    return (sa.func.julianday("now") - 2440587.5) * 86400.0


def _utc() -> sa.ColumnElement[Any]:
    """Return the database's clock as Optuna stores times: naive, in UTC, to the microsecond's place."""
    return sa.func.strftime("%Y-%m-%d %H:%M:%f000", "now")


def _alive(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # someone else's process: it lives
        return True
