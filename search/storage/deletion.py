"""Deleting the studies of a campaign with all their rows, as long as no process trains them."""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from optuna.storages._rdb import models

from coarsefine.search.errors import UsageError
from coarsefine.search.storage.dialect import Now
from coarsefine.search.storage.failed_slots import lock_studies
from coarsefine.search.storage.lease_owner import is_gone, lives_here
from coarsefine.search.storage.tables import (
    HOLDER,
    attrs,
    directions,
    lease,
    params,
    steps,
    studies,
    study_attrs,
    study_system_attrs,
    system_attrs,
    trials,
    values,
)

_OF_TRIALS = (lease, params, attrs, system_attrs, values, steps, models.TrialHeartbeatModel.__table__, trials)
"""Tables with rows of a trial; the trials come last, since the others refer to them."""
_OF_STUDIES = (directions, study_attrs, study_system_attrs, studies)


def delete_studies(connection: sa.Connection, names: Collection[str]) -> None:
    """Delete studies by name, with all their rows; raise `UsageError` if a process trains one of them."""
    ids = connection.scalars(sa.select(studies.c.study_id).where(studies.c.study_name.in_(names))).all()
    lock_studies(connection, ids)
    if holders := _trainers(connection, ids):
        raise UsageError(
            f"It is being trained by {', '.join(holders)}, so nothing was deleted: stop that run first, then try again."
        )
    connection.execute(lease.delete().where(lease.c.trial_id.in_([-study for study in ids])))
    ours = sa.select(trials.c.trial_id).where(trials.c.study_id.in_(ids))
    for table in _OF_TRIALS:
        connection.execute(table.delete().where(table.c.trial_id.in_(ours)))
    for table in _OF_STUDIES:
        connection.execute(table.delete().where(table.c.study_id.in_(ids)))


def _trainers(connection: sa.Connection, ids: Sequence[int]) -> list[str]:
    """Return the processes that hold leases of studies or of their trials, as host and number."""
    ours = sa.select(trials.c.trial_id).where(trials.c.study_id.in_(ids))
    held = lease.c.trial_id.in_(ours) | lease.c.trial_id.in_([-study for study in ids])
    late = (sa.func.max(lease.c.expires) < Now()).label("late")
    holders: Sequence[Any] = connection.execute(
        sa.select(*HOLDER, lease.c.host, late).where(held, lease.c.owner != "").group_by(*HOLDER, lease.c.host)
    ).all()
    return [f"{row.host}:{row.pid}" for row in holders if not is_gone(row) and (not row.late or lives_here(row))]
