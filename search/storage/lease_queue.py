"""The queue of slots: workers claim, record, renew and release them, and each slot is trained to its end exactly once.

`OnceLock` leases a study as a whole, for work that is done once for it.

A claimed slot is RUNNING under a lease with an owner and an attempt number. Each step is one transaction. A record
counts only under the lease it was claimed with, and the database's clock decides when a lease expires. A slot whose
process is gone from this machine can be claimed again, and so can one whose lease expired, unless its process lives on
this machine (`Expiry`). A transaction whose connection was cut is tried again as a whole: done twice, it leaves the
same rows.

On PostgreSQL rows are locked in one order, leases before trials and by rising ids, and rows that others have locked are
skipped wherever possible, so that no two transactions wait for each other.
"""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from coarsefine.search.campaign.space import Point
from coarsefine.search.storage.accepted_sources import refuse_earlier_source
from coarsefine.search.storage.database import Database
from coarsefine.search.storage.dead_workers import count_kills, take_back_slots, withdraw_deaths
from coarsefine.search.storage.dialect import Now, Utc, insert_once, upsert
from coarsefine.search.storage.free_slots import Companions, lock_free_slots
from coarsefine.search.storage.lease_owner import Expiry, Owner, is_gone
from coarsefine.search.storage.slots import Claim, Record, Slot
from coarsefine.search.storage.study_writer import has_identity, return_slots, write_records
from coarsefine.search.storage.tables import HOLDER, IS_SLOT, lease, trials

_HELD = (
    sa.select(lease.c.trial_id, lease.c.attempt, trials.c.state)
    .join(trials, trials.c.trial_id == lease.c.trial_id)
    .where(lease.c.owner == sa.bindparam("me"), trials.c.state.in_((TrialState.RUNNING, TrialState.WAITING)), IS_SLOT)
    .order_by(lease.c.trial_id)
    .with_for_update(of=lease)
)
"""The leases of a worker, locked in order, so that nobody takes the worker for dead while it records.

A slot that another program has set WAITING meanwhile still belongs to the worker.
"""

_START = (
    trials.update()
    .where(trials.c.trial_id.in_(sa.bindparam("ids", expanding=True)))
    .values(state=TrialState.RUNNING, datetime_start=Utc())
)
"""Starts trials; built once, as each claim does it."""


class LeaseQueue:
    """The queue of a storage, as one worker uses it: `owner` holds leases, which last `lease_seconds`."""

    def __init__(self, database: Database, owner: Owner, lease_seconds: float) -> None:
        self._database, self.owner, self.lease_seconds = database, owner, lease_seconds
        self._known: set[int] = set()
        """The trials of the claims this worker knows of."""
        self._expiry = Expiry()

    def claim(
        self,
        study_id: int,
        n: int,
        companions: Companions | None = None,
        identity: str | None = None,
        source: str | None = None,
    ) -> list[Claim]:
        """Claim up to n slots of a study, lowest numbers first: waiting slots, and slots whose worker is gone.

        With `companions`, claim only the slots it returns for the first free slot. After two worker deaths a slot is
        claimed alone; after three more it FAILs, with the deaths as its `reason`. Claim none if the study does not have
        the `identity`: then it was deleted, and its id is another study's. `source` is the digest of the user's code
        that this worker has loaded; raises `CampaignError` if the study goes on with another one.
        """
        tries = itertools.count()

        def take(connection: sa.Connection) -> list[Claim]:
            if source is not None:
                refuse_earlier_source(connection, study_id, source)
            if next(tries):  # slots may be leased to us without our knowing: nobody would train them
                leased = self._lock_leases(connection)
                return_slots(connection, sorted(leased.keys() - self._known))
            take_back_slots(connection, self.owner, self._expiry, self.lease_seconds)
            if not has_identity(connection, study_id, identity):
                return []
            return self._lease(connection, lock_free_slots(connection, study_id, n, companions))

        claims = self._database.transact(take)
        self._known.update(claim.trial_id for claim in claims)
        return claims

    def mark_training(self, claims: Sequence[Claim]) -> None:
        """Note which claimed slots this worker trains now; its others wait.

        Freshly claimed slots are noted already. If a worker dies, only the slots in training are suspected.
        """
        chosen = sa.case((lease.c.trial_id.in_([claim.trial_id for claim in claims]), 1), else_=0)
        self._database.transact(lambda connection: self._update_leases(connection, training=chosen))

    def record(self, records: Sequence[Record], holding: Sequence[Claim]) -> list[Claim]:
        """Record the progress and ends of slots and renew all leases; return the claims that were lost meanwhile.

        Records of lost claims are discarded: their slots belong to another worker now.
        """
        tries = itertools.count()

        def write(connection: sa.Connection) -> list[Claim]:
            held = self._lock_leases(connection)
            lost = [claim for claim in holding if held.get(claim.trial_id) != claim.attempt]
            if next(tries):  # this very record may have ended them
                lost = _unfinished(connection, lost)
            kept = [r for r in records if held.get(r.claim.trial_id) == r.claim.attempt]
            write_records(connection, kept)
            if len(held) > sum(record.state.is_finished() for record in kept):
                self._update_leases(connection, expires=Now() + self.lease_seconds)
            return lost

        lost = self._database.transact(write)
        if lost:
            taken = [claim.trial_id for claim in lost]
            self._database.transact(lambda connection: withdraw_deaths(connection, taken, self.owner))
        ended = [record.claim for record in records if record.state.is_finished()]
        self._known.difference_update(claim.trial_id for claim in [*lost, *ended])
        return lost

    def renew(self) -> None:
        """Renew all leases of this worker: they last their full time from now on."""
        self.record((), ())

    def release(self, claims: Sequence[Claim]) -> None:
        """Give slots back to be claimed again, with nothing recorded."""

        def give_back(connection: sa.Connection) -> None:
            held = self._lock_leases(connection)
            return_slots(connection, [c.trial_id for c in claims if held.get(c.trial_id) == c.attempt])

        if claims:
            self._database.transact(give_back)
            self._known.difference_update(claim.trial_id for claim in claims)

    def give_up(self, claims: Sequence[Claim], cause: str) -> list[Claim]:
        """Give back slots as if this worker had died with them; return those that FAIL, since it was too often.

        Their processes were killed, or their training raised what it should not.
        """

        def count(connection: sa.Connection) -> list[int]:
            held = self._lock_leases(connection)
            return count_kills(connection, [c.trial_id for c in claims if held.get(c.trial_id) == c.attempt], cause)

        failed = self._database.transact(count)
        self._known.difference_update(claim.trial_id for claim in claims)
        return [claim for claim in claims if claim.trial_id in failed]

    def _lease(self, connection: sa.Connection, free: Sequence[tuple[sa.Row[Any], Point]]) -> list[Claim]:
        """Lease locked free slots, which this worker trains next: its other slots wait."""
        if not free:
            return []
        if self._known:  # a worker that trains one slot at a time has no others
            self._update_leases(connection, training=0)
        connection.execute(_START, {"ids": [row.trial_id for row, _ in free]})
        holder = {**self.owner.columns(), "training": 1}
        leases = [{"trial_id": row.trial_id, "attempt": row.attempts + 1, **holder} for row, _ in free]
        upsert(connection, lease, ("trial_id",), leases, expires=Now() + self.lease_seconds)
        return [
            Claim(
                row.trial_id,
                row.attempts + 1,
                Slot(row.number, point, json.loads(row.value_json), row.attempts + 1),
                row.deaths,
            )
            for row, point in free
        ]

    def _lock_leases(self, connection: sa.Connection) -> dict[int, int]:
        """Return the attempt of each lease of this worker, by trial; they stay locked until the transaction ends."""
        held = connection.execute(_HELD, {"me": self.owner.id}).all()
        if reset := [row.trial_id for row in held if row.state is TrialState.WAITING]:  # by another program
            connection.execute(trials.update().where(trials.c.trial_id.in_(reset)).values(state=TrialState.RUNNING))
        return {row.trial_id: row.attempt for row in held}

    def _update_leases(self, connection: sa.Connection, **values: Any) -> None:
        """Set columns of all leases of this worker."""
        connection.execute(lease.update().where(lease.c.owner == self.owner.id).values(values))


def _unfinished(connection: sa.Connection, claims: Sequence[Claim]) -> list[Claim]:
    """Return the claims whose trials have not ended."""
    ours = trials.c.trial_id.in_([claim.trial_id for claim in claims])
    found = connection.execute(sa.select(trials.c.trial_id, trials.c.state).where(ours))
    ended = {row.trial_id for row in found if row.state.is_finished()}
    return [claim for claim in claims if claim.trial_id not in ended]


class OnceLock:
    """Leases a study as a whole to one process, for its final training for example.

    The lease has the negative id of the study as its trial id.
    """

    def __init__(self, database: Database, owner: Owner, seconds: float) -> None:
        self._database, self._owner, self._seconds = database, owner, seconds
        self._expiry = Expiry()

    def acquire(self, study_id: int) -> bool:
        """Acquire or renew the lock of a study; return whether this process holds it now.

        A lock whose process is gone from this machine, or whose expired lease counts as `Expiry` says, is taken over.
        """
        key, owner = lease.c.trial_id == -study_id, self._owner  # ids of trials are positive
        ours = {**owner.columns(), "attempt": 1, "expires": Now() + self._seconds}
        late, now = (lease.c.expires < Now()).label("late"), Now().label("now")
        locked = sa.select(*HOLDER, lease.c.expires, late, now).where(key).with_for_update()

        def take(connection: sa.Connection) -> bool:
            row = {"trial_id": -study_id, **ours}
            connection.execute(insert_once(connection.dialect.name, lease, "trial_id", row))
            held = connection.execute(locked).one()
            if held.owner != owner.id and not is_gone(held) and not self._expiry.counts(held, self._seconds):
                return False
            connection.execute(lease.update().where(key).values(ours))
            return True

        return self._database.transact(take)

    def release(self, study_id: int) -> None:
        """Release the lock of a study if this process holds it."""
        mine = (lease.c.trial_id == -study_id) & (lease.c.owner == self._owner.id)
        self._database.transact(lambda connection: connection.execute(lease.delete().where(mine)))
