"""Optuna's tables, and the lease table in the same database."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from optuna.storages._rdb import models

studies, trials = models.StudyModel.__table__, models.TrialModel.__table__
directions, study_attrs = models.StudyDirectionModel.__table__, models.StudyUserAttributeModel.__table__
study_system_attrs = models.StudySystemAttributeModel.__table__
params, attrs = models.TrialParamModel.__table__, models.TrialUserAttributeModel.__table__
system_attrs = models.TrialSystemAttributeModel.__table__
values, steps = models.TrialValueModel.__table__, models.TrialIntermediateValueModel.__table__
FINITE_STEP = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
FINITE_VALUE = models.TrialValueModel.TrialValueType.FINITE

Attrs = Mapping[str, Any]
"""Attributes of a study or trial, by key."""

NEEDED = frozenset({"studies", "trials", "trial_user_attributes", "version_info", "alembic_version"})
"""Tables that every database of Optuna has."""

lease = sa.Table(
    "lease",
    sa.MetaData(),
    sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.String(64), nullable=False),  # empty: no owner, but attempts and deaths still count
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("machine", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("training", sa.Integer, nullable=False, server_default="1"),  # 0: claimed, but waiting
    sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),  # workers that died with this slot
    sa.Column("story", sa.Text, nullable=False, server_default="[]"),  # each death: when, where and in which epoch
)
"""Which process may record which slot, and until when; a row is deleted when its slot has ended.

The row of a slot that FAILed stays without an owner, so that its attempts are counted on if it is retried.
"""

HOLDER = (lease.c.owner, lease.c.machine, lease.c.pid, lease.c.started)
"""The columns of a lease that identify the process that holds it."""

INDEXES = {
    "coarsefine_trials": (trials.name, "study_id, state, number"),
    "lease_owner": (lease.name, "owner"),
    "lease_deaths": (lease.name, "deaths"),
}
"""Indexes with which a claim takes as long among 100,000 waiting slots as among 100: table and columns, by name.

One is on a table of Optuna, which neither needs nor minds it. A database without them works, too.
"""

SLOTS = "slots"
"""Key of a study's attribute: the number of its slots. Studies of earlier versions do not have it."""
MOST_SLOTS = 1_000_000
"""The most slots of a study."""
ENDED = "ended"
"""Key of a slot's attribute: the state and the value with which Coarsefine ended it. Other programs do not set it."""
OWN_ATTRS = frozenset({
    "seed", "reason", "earlier_failures", "train_loss", "validation_loss", "metrics", "arithmetic", "user_attrs",
    "worker", "version_changes", ENDED,
})  # fmt: skip
"""Keys of a slot's attributes that user code does not set."""
IDENTITY = "id"
"""Key of a study's attribute that no other study has: Optuna can give name and id of a deleted study to another."""
SEED, EARLIER_FAILURES = "seed", "earlier_failures"
"""Keys of the attributes of a slot that stay when it waits again."""
RETRIED, OBJECTIVE, ACCEPTED = "retried", "objective", "accepted"
"""Keys of a study's attributes: its retries, the user's code that it searches, and the accepted changes of that."""

VERSIONS, ARITHMETIC = "versions", "arithmetic"
"""Keys of a study's attributes: the versions of packages that it was started with, and what rounded its trials."""
ACCEPTED_VERSIONS = "accepted_versions"
"""Key of a study's attribute: the accepted changes of package versions and of what rounds its trials."""
RESULTS = "results_version"
"""Key of a study's attribute: the number of Coarsefine's rules when it was opened; without one, it is 1."""
VERSION_CHANGES = "version_changes"
"""Key of a slot's attribute: how many accepted changes its study had when it ended; without it none."""

FINAL_TRAINING = "final"
"""Key of a study's attribute: the final training of the winner of the network."""
SEALED = "coarsefine:attr:"
"""Beginning of the keys of a study's system attributes that are copies of its attributes."""
NEXT = "next"
"""Key of a study's attribute: name and identity of the study that the campaign opened after it."""


def study_attr(key: str, study_id: sa.ColumnElement[int]) -> sa.ScalarSelect[Any]:
    """Return the JSON text of an attribute of a study; NULL if it has none."""
    found = (study_attrs.c.study_id == study_id) & (study_attrs.c.key == key)
    return sa.select(study_attrs.c.value_json).where(found).scalar_subquery()


def known_attr(key: str, study_id: sa.ColumnElement[int]) -> sa.ColumnElement[str]:
    """Return the JSON text of an attribute of a study as Coarsefine wrote it, or if that is not known, as it is."""
    return sa.func.coalesce(_copy_of(key, study_id).scalar_subquery(), study_attr(key, study_id))


def _copy_of(key: str, study_id: sa.ColumnElement[int]) -> sa.Select[Any]:
    copy = study_system_attrs.c
    return sa.select(copy.value_json).where(copy.study_id == study_id, copy.key == f"{SEALED}{key}")


def planned_slots(study_id: sa.ColumnElement[int]) -> sa.ColumnElement[Any]:
    """Return the number of slots that a study stores; NULL if it stores none, or what cannot be one."""
    own = sa.select(study_attrs.c.value_json).where(study_attrs.c.study_id == study_id, study_attrs.c.key == SLOTS)
    return sa.func.coalesce(_count_in(_copy_of(SLOTS, study_id)), _count_in(own))


def _count_in(found: sa.Select[Any]) -> sa.ScalarSelect[Any]:
    """Return the number that a text holds, NULL if it holds none, on which PostgreSQL's cast alone would fail."""
    (text,) = found.selected_columns
    is_count = (sa.func.ltrim(text, "0123456789") == "") & sa.func.length(text).between(1, len(str(MOST_SLOTS)))
    count = sa.case((is_count, sa.cast(text, sa.Integer)), else_=sa.null())
    return found.with_only_columns(count).scalar_subquery()


def is_slot_of(study_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Return whether a trial of a study is a slot.

    A trial that another program enqueued or added has no seed, or if it is a copy of a slot, a number beyond theirs.
    """
    planned = planned_slots(study_id)
    has_seed = sa.exists().where(attrs.c.trial_id == trials.c.trial_id, attrs.c.key == SEED)
    return sa.and_(has_seed, trials.c.number < sa.func.coalesce(planned, trials.c.number + 1))


IS_SLOT = is_slot_of(trials.c.study_id)
"""Whether a trial of any study is a slot."""
IS_SLOT_HERE = is_slot_of(sa.bindparam("study"))
"""The same for a query of one study, the parameter `study`, whose attribute is then read once."""

HAS_ENDED = sa.exists().where(attrs.c.trial_id == trials.c.trial_id, attrs.c.key == ENDED)
"""Whether Coarsefine has ended a trial. If it waits or runs all the same, another program has set its state."""


def rows_of(attributes: Attrs, **owner_id: int) -> list[dict[str, Any]]:
    """Return attributes of a study or trial as rows, sorted by key: the order in which rows are locked."""
    return [{**owner_id, "key": key, "value_json": json.dumps(value)} for key, value in sorted(attributes.items())]


def attr_of(trial: sa.FromClause, table: sa.FromClause, key: str) -> sa.ColumnElement[bool]:
    """Return the condition that joins the attribute with this key to its trial."""
    return sa.and_(table.c.trial_id == trial.c.trial_id, table.c.key == key)
