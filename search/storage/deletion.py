"""Deleting the studies of a campaign with all their rows, as long as no process trains them."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.trial import TrialState

from coarsefine.search.errors import UsageError
from coarsefine.search.storage.failed_slots import lock_studies
from coarsefine.search.storage.lease_owner import holders_query, holds
from coarsefine.search.storage.tables import (
    IS_SLOT,
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
    # PostgreSQL: a claim in progress is waited for, and seen by the next statement; later ones skip locked rows.
    ours = sa.select(trials.c.trial_id).where(trials.c.study_id.in_(ids)).order_by(trials.c.trial_id)
    connection.execute(ours.with_for_update()).all()
    if holders := _trainers(connection, ids):
        raise UsageError(
            f"It is being trained by {', '.join(holders)}, so nothing was deleted: stop that run first, then try again."
        )
    _delete(connection, ids)


def discard_studies(connection: sa.Connection, ids: Sequence[int]) -> bool:
    """Delete studies, given by id, if none of their trials has a result; return whether they were deleted.

    Some trial must have been claimed before, and none may be claimed now: else another process may have opened the
    study a moment ago. Trials of other programs are kept, and the studies with them.
    """
    lock_studies(connection, ids)
    ours = trials.c.study_id.in_(ids)
    held = sa.select(lease.c.owner).where(_leases_of(ids)).order_by(lease.c.trial_id).with_for_update()
    owners = connection.scalars(held).all()
    states = sa.select(trials.c.state).where(ours).order_by(trials.c.trial_id).with_for_update()
    if not {*connection.scalars(states)} <= {TrialState.WAITING, TrialState.FAIL} or not owners or any(owners):
        return False
    if connection.scalar(sa.select(sa.exists().where(ours, ~IS_SLOT))):
        return False
    _delete(connection, ids)
    return True


def _delete(connection: sa.Connection, ids: Sequence[int]) -> None:
    connection.execute(lease.delete().where(lease.c.trial_id.in_([-study for study in ids])))
    ours = sa.select(trials.c.trial_id).where(trials.c.study_id.in_(ids))
    for table in _OF_TRIALS:
        connection.execute(table.delete().where(table.c.trial_id.in_(ours)))
    for table in _OF_STUDIES:
        connection.execute(table.delete().where(table.c.study_id.in_(ids)))


def _leases_of(ids: Sequence[int]) -> sa.ColumnElement[bool]:
    """Return the condition for leases of studies or of their trials: that of a study as a whole has its negative id."""
    ours = sa.select(trials.c.trial_id).where(trials.c.study_id.in_(ids))
    return lease.c.trial_id.in_(ours) | lease.c.trial_id.in_([-study for study in ids])


def _trainers(connection: sa.Connection, ids: Sequence[int]) -> list[str]:
    """Return the processes that hold leases of studies or of their trials, as host and number."""
    holders = connection.execute(holders_query(_leases_of(ids))).all()
    return [f"{row.host}:{row.pid}" for row in holders if holds(row)]
