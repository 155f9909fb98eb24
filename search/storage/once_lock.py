"""The right to do something once for a study, such as its final training: one process holds it at a time."""

import sqlalchemy as sa

from coarsefine.search.storage.database import Database
from coarsefine.search.storage.dialect import Now, insert_once
from coarsefine.search.storage.lease_owner import Owner, is_gone
from coarsefine.search.storage.tables import HOLDER, lease


class OnceLock:
    """Leases a study as a whole to one process. The lease has the negative id of the study as its trial id."""

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
            connection.execute(insert_once(self._database.backend, lease, "trial_id", row))
            held = connection.execute(locked).one()
            if (
                held.owner != owner.id
                and not held.late
                and not is_gone(held.owner, held.machine, held.pid, held.started)
            ):
                return False
            connection.execute(lease.update().where(key).values(ours))
            return True

        return self._database.transact(take)

    def release(self, study_id: int) -> None:
        """Release the lock of a study if this process holds it."""
        mine = (lease.c.trial_id == -study_id) & (lease.c.owner == self._owner.id)
        self._database.transact(lambda connection: connection.execute(lease.delete().where(mine)))
