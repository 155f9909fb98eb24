"""Writing the rows of a study, its slots and their trials, each as part of a transaction."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from optuna import distributions as optunas
from optuna.study import StudyDirection
from optuna.trial import TrialState

from coarsefine.search.campaign.dimension import Choice, Dimension, Integer, LogUniform, Stepped
from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.storage.dialect import Utc, insert_once, upsert
from coarsefine.search.storage.seal import seal_of, set_attrs
from coarsefine.search.storage.slots import Record, Slot, end_mark
from coarsefine.search.storage.tables import (
    EARLIER_FAILURES,
    ENDED,
    FINITE_STEP,
    FINITE_VALUE,
    IDENTITY,
    NEXT,
    SEED,
    SLOTS,
    Attrs,
    attrs,
    directions,
    lease,
    params,
    rows_of,
    steps,
    studies,
    study_attr,
    study_system_attrs,
    trials,
    values,
)

_IDENTITY = sa.select(study_attr(IDENTITY, studies.c.study_id)).where(studies.c.study_id == sa.bindparam("study"))
_OF_TRIALS: sa.BindParameter[int] = sa.bindparam("ids", expanding=True)
_END = (
    trials.update()
    .where(trials.c.trial_id.in_(_OF_TRIALS))
    .values(state=sa.bindparam("ended_in"), datetime_complete=Utc())
)
_DELETE_LEASES = lease.delete().where(lease.c.trial_id.in_(_OF_TRIALS))
_DISOWN_LEASES = lease.update().where(lease.c.trial_id.in_(_OF_TRIALS)).values(owner="", expires=0.0)
"""Statements of each trial, which are built once."""


def write_study(
    connection: sa.Connection,
    name: str,
    user_attrs: Attrs,
    space: Space,
    slots: Sequence[Slot],
    system_attrs: Attrs,
    direction: Direction,
) -> bool:
    """Write a study, its attributes and all its slots unless the study exists; return whether it was written.

    The study's attribute `slots` distinguishes its slots from trials that other programs add.
    """
    once = insert_once(connection.dialect.name, studies, "study_name", {"study_name": name})
    study = connection.scalars(once.returning(studies.c.study_id)).one_or_none()
    if study is None:
        return False
    of_values = {"study_id": study, "objective": 0, "direction": StudyDirection[direction.name]}
    connection.execute(directions.insert(), [of_values])
    with_seal = {**system_attrs, **seal_of(slots, system_attrs, direction)}
    connection.execute(study_system_attrs.insert(), rows_of(with_seal, study_id=study))
    set_attrs(connection, study, {**user_attrs, SLOTS: len(slots)})
    write_slots(connection, study, space, slots)
    return True


def write_next(connection: sa.Connection, study_id: int, name: str, attrs: Attrs) -> None:
    """Store with a study, unless it was deleted, name and identity of the study that was opened after it."""
    if has_identity(connection, study_id, None):
        set_attrs(connection, study_id, {NEXT: {"study": name, IDENTITY: attrs[IDENTITY]}})


def has_identity(connection: sa.Connection, study_id: int, identity: str | None) -> bool:
    """Return whether a study exists and has this identity; None stands for any.

    Optuna can delete it at any time, and SQLite then gives its id to the next study.
    """
    known = connection.execute(_IDENTITY, {"study": study_id}).all()
    return bool(known) and (identity is None or known[0][0] == json.dumps(identity))


def write_slots(connection: sa.Connection, study: int, space: Space, slots: Sequence[Slot]) -> None:
    """Write a stage's slots as WAITING trials."""
    waiting = [{"number": slot.number, "study_id": study, "state": TrialState.WAITING} for slot in slots]
    connection.execute(trials.insert(), waiting)
    written = connection.execute(sa.select(trials.c.number, trials.c.trial_id).where(trials.c.study_id == study))
    ids = {row.number: row.trial_id for row in written}
    # SQLite gives the ids of a deleted study out again, and Optuna, which deletes it, does not know of leases.
    # Other studies' ids may lie between these: PostgreSQL numbers the trials of two studies that are opened at once.
    ours = sa.select(trials.c.trial_id).where(trials.c.study_id == study)
    connection.execute(lease.delete().where(lease.c.trial_id.in_(ours) | (lease.c.trial_id == -study)))
    connection.execute(params.insert(), _parameter_rows({ids[slot.number]: slot.point for slot in slots}, space))
    seeds = [row for slot in slots for row in rows_of({SEED: slot.seed}, trial_id=ids[slot.number])]
    connection.execute(attrs.insert(), seeds)
    if connection.dialect.name == "postgresql":  # its planner needs statistics now, and would collect them too late
        connection.exec_driver_sql(f"ANALYZE {trials.name}, {params.name}, {attrs.name}")


def distribution_of(dimension: Dimension) -> optunas.BaseDistribution:
    """Return a dimension as Optuna's distribution."""
    if isinstance(dimension, Choice):
        return optunas.CategoricalDistribution(dimension.options)
    if isinstance(dimension, Integer):
        return optunas.IntDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)
    if isinstance(dimension, Stepped):
        return optunas.FloatDistribution(dimension.low, dimension.high, step=dimension.step)
    return optunas.FloatDistribution(dimension.low, dimension.high, log=isinstance(dimension, LogUniform))


def _parameter_rows(points: Mapping[int, Point], space: Space) -> list[dict[str, Any]]:
    """Return the rows for points of a space, given by trial id; the rows of a point are in the order of the space."""
    distributions = {name: distribution_of(dimension) for name, dimension in space.items()}
    forms = {name: optunas.distribution_to_json(distribution) for name, distribution in distributions.items()}
    return [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": distribution.to_internal_repr(point[name]),
            "distribution_json": forms[name],
        }
        for trial_id, point in points.items()
        for name, distribution in distributions.items()
    ]


def write_records(connection: sa.Connection, records: Sequence[Record]) -> None:
    """Write the records of a stack, each table in one statement; written twice, the rows are the same."""
    epochs = [
        {"trial_id": r.claim.trial_id, "step": epoch, "intermediate_value": v, "intermediate_value_type": FINITE_STEP}
        for r in records
        for epoch, v in r.steps.items()
    ]
    upsert(connection, steps, ("trial_id", "step"), epochs)
    ended = [record for record in records if record.state.is_finished()]
    marks = {r.claim.trial_id: {ENDED: end_mark(r.state, r.value)} for r in ended}
    kept = [(r.claim.trial_id, {**r.attrs, **marks.get(r.claim.trial_id, {})}) for r in records]
    upsert(connection, attrs, ("trial_id", "key"), [row for i, each in kept for row in rows_of(each, trial_id=i)])
    scores = [
        {"trial_id": r.claim.trial_id, "objective": 0, "value": r.value, "value_type": FINITE_VALUE}
        for r in ended
        if r.state is not TrialState.FAIL and r.value is not None  # a trial may prune itself before its first report
    ]
    upsert(connection, values, ("trial_id", "objective"), scores)
    for state in sorted({record.state for record in ended}):
        _end(connection, [r.claim.trial_id for r in ended if r.state is state], state)


def fail_trials(connection: sa.Connection, ids: Sequence[int]) -> None:
    """FAIL trials, given by rising ids; their leases lose the owner."""
    if ids:
        mark = {ENDED: end_mark(TrialState.FAIL, None)}
        upsert(connection, attrs, ("trial_id", "key"), [row for i in ids for row in rows_of(mark, trial_id=i)])
        _end(connection, ids, TrialState.FAIL)


def _end(connection: sa.Connection, ids: Sequence[int], state: TrialState) -> None:
    """End trials in a state. Delete their leases; those of failed trials lose the owner.

    State and value are stored as an attribute before: a slot that another program ended does not have it.
    """
    connection.execute(_END, {"ids": sorted(ids), "ended_in": state})
    connection.execute(_DISOWN_LEASES if state is TrialState.FAIL else _DELETE_LEASES, {"ids": sorted(ids)})


def return_slots(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Let slots wait again with nothing recorded; the number of attempts stays, so that no old attempt can record.

    Recorded epochs are deleted: the next attempt repeats them to the bit, or has them from a checkpoint.
    """
    if not ids:
        return
    connection.execute(steps.delete().where(steps.c.trial_id.in_(ids)))
    connection.execute(attrs.delete().where(attrs.c.trial_id.in_(ids), attrs.c.key.not_in([SEED, EARLIER_FAILURES])))
    waiting = {"state": TrialState.WAITING, "datetime_start": None}
    connection.execute(trials.update().where(trials.c.trial_id.in_(ids)).values(waiting))
    connection.execute(lease.update().where(lease.c.trial_id.in_(ids)).values(owner="", expires=0.0))
