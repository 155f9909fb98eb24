"""The queue of slots: workers claim, record, renew and release them, and each slot is trained to its end exactly once.

`OnceLock` leases a study as a whole, for work that is done once for it.

A claimed slot is RUNNING under a lease with an owner and an attempt number. Each step is one transaction. A record
counts only under the lease it was claimed with, and the database's clock decides when a lease expires. A slot whose
lease expired, or whose process is gone from this machine, can be claimed again. A transaction whose connection was cut
is tried again as a whole: done twice, it leaves the same rows.

On PostgreSQL rows are locked in one order, leases before trials and by rising ids, and rows that others have locked are
skipped wherever possible, so that no two transactions wait for each other.
"""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from coarsefine.search.campaign.space import Point
from coarsefine.search.storage.database import Database
from coarsefine.search.storage.dead_workers import take_back_slots
from coarsefine.search.storage.dialect import Now, Utc, insert_once, upsert
from coarsefine.search.storage.free_slots import Companions, lock_free_slots
from coarsefine.search.storage.lease_owner import Owner, is_gone
from coarsefine.search.storage.slots import Claim, Record, Slot
from coarsefine.search.storage.study_writer import return_slots, write_records
from coarsefine.search.storage.tables import HOLDER, lease, trials

_HELD = (
    sa.select(lease.c.trial_id, lease.c.attempt)
    .join(trials, trials.c.trial_id == lease.c.trial_id)
    .where(lease.c.owner == sa.bindparam("me"), trials.c.state == TrialState.RUNNING)
    .order_by(lease.c.trial_id)
    .with_for_update(of=lease)
)
"""The leases of a worker, locked in order, so that nobody takes the worker for dead while it records."""

_RENEW = sa.update(lease).where(lease.c.owner == sa.bindparam("me")).values(expires=Now() + sa.bindparam("seconds"))


class LeaseQueue:
    """The queue of a storage, as one worker uses it: `owner` holds leases, which last `lease_seconds`."""

    def __init__(self, database: Database, owner: Owner, lease_seconds: float) -> None:
        self._database, self.owner, self.lease_seconds = database, owner, lease_seconds
        self._held: dict[int, int] = {}
        """The attempt of each claim this worker knows of, by trial."""

    def claim(self, study_id: int, n: int, companions: Companions | None = None) -> list[Claim]:
        """Claim up to n slots of a study, lowest numbers first: waiting slots, and slots whose worker is gone.

        With `companions`, claim only the slots it returns for the first free slot. After two worker deaths a slot is
        claimed alone; after three more it FAILs, with the deaths as its `reason`.
        """

        def take(connection: sa.Connection, retried: bool) -> list[Claim]:
            if retried:  # slots may be leased to us without our knowing: nobody would train them
                leased = self._lock_leases(connection)
                return_slots(connection, sorted(leased.keys() - self._held.keys()))
            take_back_slots(connection, self.owner)
            return self._lease(connection, lock_free_slots(connection, study_id, n, companions))

        claims = self._database.transact_retried(take)
        self._held.update({claim.trial_id: claim.attempt for claim in claims})
        return claims

    def mark_training(self, claims: Sequence[Claim]) -> None:
        """Note which claimed slots this worker trains now; its others wait.

        Freshly claimed slots are noted already. If a worker dies, only the slots in training are suspected.
        """
        ids = [claim.trial_id for claim in claims]
        self._database.transact(lambda connection: self._mark_training(connection, ids))

    def record(self, records: Sequence[Record], holding: Sequence[Claim]) -> list[Claim]:
        """Record the progress and ends of slots and renew all leases; return the claims that were lost meanwhile.

        Records of lost claims are discarded: their slots belong to another worker now.
        """

        def write(connection: sa.Connection, retried: bool) -> list[Claim]:
            held = self._lock_leases(connection)
            lost = [claim for claim in holding if held.get(claim.trial_id) != claim.attempt]
            if retried:  # this very record may have ended them
                lost = [claim for claim in lost if claim.trial_id not in _finished(connection, lost)]
            kept = [r for r in records if held.get(r.claim.trial_id) == r.claim.attempt]
            write_records(connection, kept)
            if len(held) > sum(record.state.is_finished() for record in kept):
                self._renew(connection)
            return lost

        lost = self._database.transact_retried(write)
        self._forget([*lost, *(record.claim for record in records if record.state.is_finished())])
        return lost

    def renew(self) -> None:
        """Renew all leases of this worker: they last their full time from now on."""

        def extend(connection: sa.Connection) -> None:
            if self._lock_leases(connection):
                self._renew(connection)

        self._database.transact(extend)

    def release(self, claims: Sequence[Claim]) -> None:
        """Give slots back to be claimed again, with nothing recorded."""

        def give_back(connection: sa.Connection) -> None:
            held = self._lock_leases(connection)
            return_slots(connection, [c.trial_id for c in claims if held.get(c.trial_id) == c.attempt])

        if claims:
            self._database.transact(give_back)
            self._forget(claims)

    def _lease(self, connection: sa.Connection, free: Sequence[tuple[sa.Row[Any], Point]]) -> list[Claim]:
        """Lease locked free slots, which this worker trains next: its other slots wait."""
        if not free:
            return []
        self._mark_training(connection, [])
        running = {"state": TrialState.RUNNING, "datetime_start": Utc()}
        ids = [row.trial_id for row, _ in free]
        connection.execute(trials.update().where(trials.c.trial_id.in_(ids)).values(running))
        holder = {**self.owner.columns(), "training": 1}
        leases = [{"trial_id": row.trial_id, "attempt": row.attempts + 1, **holder} for row, _ in free]
        upsert(connection, lease, ("trial_id",), leases, expires=Now() + self.lease_seconds)
        return [
            Claim(row.trial_id, row.attempts + 1, Slot(row.number, point, json.loads(row.value_json)), row.deaths)
            for row, point in free
        ]

    def _lock_leases(self, connection: sa.Connection) -> dict[int, int]:
        """Return the attempt of each lease of this worker, by trial; they stay locked until the transaction ends."""
        return {row.trial_id: row.attempt for row in connection.execute(_HELD, {"me": self.owner.id})}

    def _renew(self, connection: sa.Connection) -> None:
        connection.execute(_RENEW, {"me": self.owner.id, "seconds": self.lease_seconds})

    def _mark_training(self, connection: sa.Connection, ids: Sequence[int]) -> None:
        chosen = sa.case((lease.c.trial_id.in_(ids), 1), else_=0)
        connection.execute(lease.update().where(lease.c.owner == self.owner.id).values(training=chosen))

    def _forget(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self._held.pop(claim.trial_id, None)


def _finished(connection: sa.Connection, claims: Sequence[Claim]) -> set[int]:
    ids = [claim.trial_id for claim in claims]
    found = connection.execute(sa.select(trials.c.trial_id, trials.c.state).where(trials.c.trial_id.in_(ids)))
    return {row.trial_id for row in found if row.state.is_finished()}


class OnceLock:
    """Leases a study as a whole to one process, for its final training for example.

    The lease has the negative id of the study as its trial id.
    """

    def __init__(self, database: Database, owner: Owner, seconds: float) -> None:
        self._database, self._owner, self._seconds = database, owner, seconds

    def acquire(self, study_id: int) -> bool:
        """Acquire or renew the lock of a study; return whether this process holds it now.

        A lock whose lease has expired, or whose process is gone from this machine, is taken over.
        """
        key, owner = lease.c.trial_id == -study_id, self._owner  # ids of trials are positive
        ours = {**owner.columns(), "attempt": 1, "expires": Now() + self._seconds}
        locked = sa.select(*HOLDER, (lease.c.expires < Now()).label("late")).where(key).with_for_update()

        def take(connection: sa.Connection) -> bool:
            row = {"trial_id": -study_id, **ours}
            connection.execute(insert_once(connection.dialect.name, lease, "trial_id", row))
            held = connection.execute(locked).one()
            if held.owner != owner.id and not held.late and not is_gone(held):
                return False
            connection.execute(lease.update().where(key).values(ours))
            return True

        return self._database.transact(take)

    def release(self, study_id: int) -> None:
        """Release the lock of a study if this process holds it."""
        mine = (lease.c.trial_id == -study_id) & (lease.c.owner == self._owner.id)
        self._database.transact(lambda connection: connection.execute(lease.delete().where(mine)))
