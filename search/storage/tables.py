"""Optuna's tables as the queue uses them, the lease table beside them, and the queue's larger queries, built once."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.trial import TrialState

from coarsefine.search.storage.dialect import Now

studies, trials = models.StudyModel.__table__, models.TrialModel.__table__
directions, study_attrs = models.StudyDirectionModel.__table__, models.StudyUserAttributeModel.__table__
study_system_attrs = models.StudySystemAttributeModel.__table__
params, attrs = models.TrialParamModel.__table__, models.TrialUserAttributeModel.__table__
system_attrs = models.TrialSystemAttributeModel.__table__
values, steps = models.TrialValueModel.__table__, models.TrialIntermediateValueModel.__table__
FINITE_STEP = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
FINITE_VALUE = models.TrialValueModel.TrialValueType.FINITE

NEEDED = frozenset({"studies", "trials", "trial_user_attributes", "version_info", "alembic_version"})
"""Tables by which a database is known as Optuna's."""

lease = sa.Table(
    "lease",
    sa.MetaData(),
    sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.String(64), nullable=False),  # empty: nobody's, but the attempts and deaths still count
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("machine", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("training", sa.Integer, nullable=False, server_default="1"),  # 0: held, while others are trained
    sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),  # workers that died with this slot
    sa.Column("story", sa.Text, nullable=False, server_default="[]"),  # when, where and in which epoch
)
"""Who may record which slot, until when; gone when the slot has ended."""

IS_SLOT = sa.exists().where(attrs.c.trial_id == trials.c.trial_id, attrs.c.key == "seed")
"""Tells a slot from what else somebody put into the study, such as an enqueued trial."""

_SUSPECT_DEATHS = 2
"""A slot that as many workers died with is trained alone: its neighbours are not to be blamed for it."""


def rows_of(given: Mapping[str, Any], **owner: int) -> list[dict[str, Any]]:
    """Return attributes as rows, in the order in which they may be locked."""
    return [{**owner, "key": key, "value_json": json.dumps(value)} for key, value in sorted(given.items())]


def _waiting(*among: sa.ColumnElement[bool]) -> sa.Subquery:
    """Return the free trials of a study, locked: those to be trained alone first, then by their numbers.

    What is no slot has a higher number than all slots, and takes no slot's place.
    """
    deaths = sa.func.coalesce(lease.c.deaths, 0).label("deaths")
    alone = sa.case((deaths >= _SUSPECT_DEATHS, 1), else_=0)
    return (
        sa.select(
            trials.c.trial_id,
            trials.c.number,
            sa.func.coalesce(lease.c.attempt, 0).label("attempts"),
            deaths,
            alone.label("alone"),
        )
        .outerjoin(lease, lease.c.trial_id == trials.c.trial_id)
        .where(trials.c.study_id == sa.bindparam("study"), trials.c.state == TrialState.WAITING, *among)
        .order_by(alone.desc(), trials.c.number)
        .limit(sa.bindparam("n"))
        .with_for_update(of=trials, skip_locked=True)
        .subquery()
    )


def _attr_of(whose: sa.FromClause, table: sa.FromClause, key: str) -> sa.ColumnElement[bool]:
    """Join a trial's attribute of this name to it."""
    return sa.and_(table.c.trial_id == whose.c.trial_id, table.c.key == key)


def _with_slots(waiting: sa.Subquery) -> sa.Select[Any]:
    """Return free slots with their points and seeds, a row for each parameter: one question instead of three."""
    return (
        sa.select(waiting, params.c.param_name, params.c.param_value, params.c.distribution_json, attrs.c.value_json)
        .join(params, params.c.trial_id == waiting.c.trial_id)
        .join(attrs, _attr_of(waiting, attrs, "seed"))
        .order_by(waiting.c.alone.desc(), waiting.c.number, params.c.param_id)
    )


FREE = _with_slots(_waiting())
FREE_AMONG = _with_slots(_waiting(trials.c.number.in_(sa.bindparam("numbers", expanding=True))))
"""The same, of some numbers alone."""

STRAY = (
    sa.select(trials.c.trial_id)
    .outerjoin(lease, lease.c.trial_id == trials.c.trial_id)
    .where(trials.c.study_id == sa.bindparam("study"), trials.c.state == TrialState.RUNNING)
    .where(lease.c.trial_id.is_(None), IS_SLOT)
    .order_by(trials.c.trial_id)
    .with_for_update(of=trials, skip_locked=True)
)
"""Slots that seem to be in training without a lease; whether they are, only a second look tells.

PostgreSQL looks at a locked row anew, but at the lease beside it as it was when the statement began.
"""


def _progress() -> sa.Select[Any]:
    def recorded(what: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.select(what).where(steps.c.trial_id == trials.c.trial_id).scalar_subquery()

    running = trials.c.state == TrialState.RUNNING
    epochs = sa.case((running, recorded(sa.func.count())), else_=0)
    leading = sa.case((running, recorded(sa.func.max(steps.c.intermediate_value))))
    return (
        sa.select(trials.c.state, sa.func.count().label("trials"))
        .add_columns(sa.func.sum(epochs).label("epochs"), sa.func.max(leading).label("leading"))
        .where(trials.c.study_id == sa.bindparam("study"), IS_SLOT)
        .group_by(trials.c.state)
    )


PROGRESS = _progress()
"""How many slots of a study are in each state; of those in training, the epochs recorded and the highest accuracy."""


def _endings() -> sa.Select[Any]:
    reason = attrs.alias()
    reached = sa.select(sa.func.max(steps.c.step)).where(steps.c.trial_id == trials.c.trial_id).scalar_subquery()
    return (
        sa.select(trials.c.number, trials.c.state, values.c.value, reason.c.value_json.label("reason"))
        .add_columns(params.c.param_name, params.c.param_value, params.c.distribution_json)
        .add_columns(sa.func.coalesce(reached, 0).label("epochs"))
        .join(params, params.c.trial_id == trials.c.trial_id)
        .outerjoin(values, values.c.trial_id == trials.c.trial_id)
        .outerjoin(reason, _attr_of(trials, reason, "reason"))
        .where(trials.c.study_id == sa.bindparam("study"), trials.c.number >= sa.bindparam("low"), IS_SLOT)
        .where(trials.c.state.in_([state for state in TrialState if state.is_finished()]))
        .order_by(trials.c.datetime_complete, trials.c.number, params.c.param_id)
    )


ENDINGS = _endings()
"""The slots of a study, from a number on, that ended: how, and in the order they did; a row for each parameter."""

TRAINERS = (
    sa.select(lease.c.owner, lease.c.machine, lease.c.pid, lease.c.started, sa.func.count().label("slots"))
    .join(trials, trials.c.trial_id == lease.c.trial_id)
    .where(trials.c.study_id == sa.bindparam("study"), trials.c.state == TrialState.RUNNING, lease.c.expires >= Now())
    .group_by(lease.c.owner, lease.c.machine, lease.c.pid, lease.c.started)
)
"""Who holds slots of a study that are in training, and how many."""

HOLDERS = (
    sa.select(lease.c.owner, lease.c.machine, lease.c.pid, lease.c.started)
    .add_columns((sa.func.max(lease.c.expires) < Now()).label("late"))
    .where(lease.c.owner != "")
    .group_by(lease.c.owner, lease.c.machine, lease.c.pid, lease.c.started)
)
"""Everyone who holds a lease, and whether the last of their leases has run out."""

HELD = (
    sa.select(lease.c.trial_id, lease.c.attempt)
    .join(trials, trials.c.trial_id == lease.c.trial_id)
    .where(lease.c.owner == sa.bindparam("me"), trials.c.state == TrialState.RUNNING)
    .order_by(lease.c.trial_id)
    .with_for_update(of=lease)
)
"""What a worker holds, locked in order, so that nobody takes it for dead while it records."""

RENEW = sa.update(lease).where(lease.c.owner == sa.bindparam("me")).values(expires=Now() + sa.bindparam("seconds"))

REMEMBER = (
    sa.update(lease)
    .where(lease.c.trial_id == sa.bindparam("id"))
    .values(deaths=sa.bindparam("number"), story=sa.bindparam("told"))
)
"""How many workers died with a slot, and how, beside a lease that is nobody's now."""


def _left_behind() -> sa.Select[Any]:
    others = lease.alias()
    beside = (others.c.owner == lease.c.owner) & (others.c.training == 1)
    company = sa.select(sa.func.count()).where(beside).scalar_subquery()
    reached = sa.func.coalesce(
        sa.select(sa.func.max(steps.c.step)).where(steps.c.trial_id == lease.c.trial_id).scalar_subquery(), 0
    )
    gone = lease.c.owner.in_(sa.bindparam("gone", expanding=True))
    late = lease.c.owner.in_(sa.bindparam("late", expanding=True)) & (lease.c.expires < Now())
    return (
        sa.select(lease, trials.c.state, company.label("company"), reached.label("reached"))
        .join(trials, trials.c.trial_id == lease.c.trial_id)
        .where(gone | late)
        .order_by(lease.c.trial_id)
        .with_for_update(of=lease, skip_locked=True)
    )


LEFT_BEHIND = _left_behind()
"""The leases of workers that are gone, or so late that they count as gone, with the epochs they came to.

Skipping what is locked: a late worker that just renews its lease keeps it.
"""
