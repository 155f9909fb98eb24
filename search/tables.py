"""Optuna's tables as the queue uses them, the lease table beside them, and the queue's larger queries, built once."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.trial import TrialState

from search.dialect import Now
from search.slot import SUSPECT_DEATHS

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
    sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),  # workers that died with this slot
    sa.Column("story", sa.Text, nullable=False, server_default="[]"),  # when, where and in which epoch
)
"""Who may record which slot, until when; gone when the slot has ended."""

IS_SLOT = sa.exists().where(attrs.c.trial_id == trials.c.trial_id, attrs.c.key == "seed")
"""Tells a slot from what else somebody put into the study, such as an enqueued trial."""


def rows_of(given: Mapping[str, Any], **owner: int) -> list[dict[str, Any]]:
    """Return attributes as rows, in the order in which they may be locked."""
    return [{**owner, "key": key, "value_json": json.dumps(value)} for key, value in sorted(given.items())]


def _waiting() -> sa.Subquery:
    """Return the free trials of a study, locked: those to be trained alone first, then by their numbers.

    What is no slot has a higher number than all slots, and takes no slot's place.
    """
    deaths = sa.func.coalesce(lease.c.deaths, 0).label("deaths")
    alone = sa.case((deaths >= SUSPECT_DEATHS, 1), else_=0)
    return (
        sa.select(
            trials.c.trial_id,
            trials.c.number,
            sa.func.coalesce(lease.c.attempt, 0).label("attempts"),
            deaths,
            alone.label("alone"),
        )
        .outerjoin(lease, lease.c.trial_id == trials.c.trial_id)
        .where(trials.c.study_id == sa.bindparam("study"), trials.c.state == TrialState.WAITING)
        .where(alone <= sa.bindparam("suspects"))
        .order_by(alone.desc(), trials.c.number)
        .limit(sa.bindparam("n"))
        .with_for_update(of=trials, skip_locked=True)
        .subquery()
    )


def _with_slots(waiting: sa.Subquery) -> sa.Select[Any]:
    """Return free slots with their points and seeds: one question instead of three."""
    eta, lam, seed = params.alias(), params.alias(), attrs.alias()

    def of(table: sa.FromClause, column: sa.ColumnElement[str], name: str) -> sa.ColumnElement[bool]:
        return (table.c.trial_id == waiting.c.trial_id) & (column == name)

    return (
        sa.select(waiting, eta.c.param_value.label("eta"), lam.c.param_value.label("lam"), seed.c.value_json)
        .join(eta, of(eta, eta.c.param_name, "eta"))
        .join(lam, of(lam, lam.c.param_name, "lambda"))
        .join(seed, of(seed, seed.c.key, "seed"))
        .order_by(waiting.c.alone.desc(), waiting.c.number)
    )


FREE = _with_slots(_waiting())

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
    company = sa.select(sa.func.count()).where(others.c.owner == lease.c.owner).scalar_subquery()
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
