"""Finding the free slots of a study: WAITING trials, locked for the transaction that claims them."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from coarsefine.search.campaign.space import Point
from coarsefine.search.storage.study_queries import with_points
from coarsefine.search.storage.study_writer import return_slots
from coarsefine.search.storage.tables import (
    ENDED,
    HAS_ENDED,
    IS_SLOT_HERE,
    attr_of,
    attrs,
    lease,
    params,
    planned_slots,
    trials,
)

Companions = Callable[[int], Sequence[int]]
"""Return the numbers of the slots to claim together with the first free slot, itself included, given its number."""

_SUSPECT_DEATHS = 2
"""After as many worker deaths a slot is trained alone, so that it cannot harm others."""
_DEATHS = sa.func.coalesce(lease.c.deaths, 0)
_Queries = tuple[sa.Select[Any], sa.Select[Any]]


def _waiting(*among: sa.ColumnElement[bool]) -> sa.Subquery:
    """Return the free trials of a study with the lowest numbers, locked.

    An index leads to them, however many wait. A trial that is not a slot has a higher number than all slots, and takes
    no slot's place. A slot that another program set WAITING while its worker trains it is not free: it still has its
    lease.
    """
    attempts = sa.func.coalesce(lease.c.attempt, 0).label("attempts")
    planned = planned_slots(sa.bindparam("study"))
    return (
        sa.select(trials.c.trial_id, trials.c.number, attempts, _DEATHS.label("deaths"))
        .outerjoin(lease, lease.c.trial_id == trials.c.trial_id)
        .where(trials.c.study_id == sa.bindparam("study"), trials.c.state == TrialState.WAITING, *among)
        .where(trials.c.number < sa.func.coalesce(planned, trials.c.number + 1))
        .where(sa.func.coalesce(lease.c.owner, "") == "")
        .order_by(trials.c.number)
        .limit(sa.bindparam("n"))
        .with_for_update(of=trials, skip_locked=True)
        .subquery()
    )


def _with_slots(waiting: sa.Subquery) -> sa.Select[Any]:
    """Return free slots with their points and seeds, a row for each parameter: one query instead of three."""
    mark = attrs.alias()
    return (
        sa.select(waiting, params.c.param_name, params.c.param_value, params.c.distribution_json, attrs.c.value_json)
        .add_columns(mark.c.trial_id.is_not(None).label("has_ended"))
        .join(params, params.c.trial_id == waiting.c.trial_id)
        .join(attrs, attr_of(waiting, attrs, "seed"))
        .outerjoin(mark, attr_of(waiting, mark, ENDED))
        .order_by(waiting.c.number, params.c.param_id)
    )


def _free(*among: sa.ColumnElement[bool]) -> _Queries:
    """Select free slots; then the same without those that have ended, if another program set one WAITING: slower."""
    return _with_slots(_waiting(*among)), _with_slots(_waiting(*among, ~HAS_ENDED))


_FREE = _free(_DEATHS < _SUSPECT_DEATHS)
_FREE_AMONG = _free(_DEATHS < _SUSPECT_DEATHS, trials.c.number.in_(sa.bindparam("numbers", expanding=True)))
_FREE_SUSPECTS = _free(trials.c.trial_id.in_(sa.bindparam("ids", expanding=True)))
_SUSPECTS = sa.select(lease.c.trial_id).where(lease.c.deaths >= _SUSPECT_DEATHS)
"""Slots of all studies that workers died with: each trains alone, or has failed. They are few, and have an index."""

_STRAY = (
    sa.select(trials.c.trial_id)
    .outerjoin(lease, lease.c.trial_id == trials.c.trial_id)
    .where(trials.c.study_id == sa.bindparam("study"), trials.c.state == TrialState.RUNNING)
    .where(lease.c.trial_id.is_(None), IS_SLOT_HERE, ~HAS_ENDED)
    .order_by(trials.c.number)  # by which an index leads to them; their ids rise with it
    .with_for_update(of=trials, skip_locked=True)
)
"""Slots that seem to be RUNNING without a lease; only a second query shows whether they are.

PostgreSQL reads a locked row again, but its lease as it was when the statement began.
"""


def lock_free_slots(
    connection: sa.Connection, study: int, n: int, companions: Companions | None
) -> list[tuple[sa.Row[Any], Point]]:
    """Return up to n free slots with their points: one alone that workers died with, or else the lowest numbers.

    If none is free, slots that `study.ask()` set RUNNING wait again first: nobody else would end them.
    """
    found = _free_slots(connection, study, n, companions)
    if not found and _return_strays(connection, study):
        found = _free_slots(connection, study, n, companions)
    return found


def _free_slots(
    connection: sa.Connection, study: int, n: int, companions: Companions | None
) -> list[tuple[sa.Row[Any], Point]]:
    suspects = connection.scalars(_SUSPECTS).all()
    if suspects and (suspect := _found(connection, _FREE_SUSPECTS, study=study, n=min(n, 1), ids=suspects)):
        return suspect
    if companions is None:
        return _found(connection, _FREE, study=study, n=n)
    first = _found(connection, _FREE, study=study, n=1)
    if not first:
        return []
    numbers = companions(first[0][0].number)  # the first is among them: it is locked for us already
    return _found(connection, _FREE_AMONG, study=study, n=n, numbers=list(numbers))


def _found(connection: sa.Connection, queries: _Queries, **bound: Any) -> list[tuple[sa.Row[Any], Point]]:
    rows = connection.execute(queries[0], bound).all()
    if any(row.has_ended for row in rows):
        rows = connection.execute(queries[1], bound).all()
    return with_points(rows)


def _return_strays(connection: sa.Connection, study: int) -> bool:
    """Let slots that are RUNNING without a lease wait again; return whether there are any."""
    seeming = connection.scalars(_STRAY, {"study": study}).all()
    leased = set(connection.scalars(sa.select(lease.c.trial_id).where(lease.c.trial_id.in_(seeming))))
    strays = [trial_id for trial_id in seeming if trial_id not in leased]
    return_slots(connection, strays)
    return bool(strays)
