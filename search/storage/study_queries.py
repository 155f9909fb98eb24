"""Queries about a study while it is trained: its progress, its finished trials and points, what is left to train."""

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa
from optuna import distributions as optunas
from optuna.trial import TrialState

from coarsefine.search.campaign.space import Point
from coarsefine.search.storage.database import Database, Row
from coarsefine.search.storage.dialect import Now
from coarsefine.search.storage.lease_owner import is_gone
from coarsefine.search.storage.slots import FinishedTrial
from coarsefine.search.storage.tables import HOLDER, IS_SLOT, attr_of, attrs, lease, params, steps, trials, values

distribution_from_json = lru_cache(optunas.json_to_distribution)
"""Read a distribution as Optuna stores it; most trials of a study share the same texts."""


@cache
def _progress() -> sa.Select[Any]:
    """Count the slots in each state; for RUNNING slots, also the epochs recorded and the highest accuracy."""

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


@cache
def _finished_trials() -> sa.Select[Any]:
    """Select the finished slots from a number on, in the order they finished; a row for each parameter."""
    reason = attrs.alias()
    reached = sa.select(sa.func.max(steps.c.step)).where(steps.c.trial_id == trials.c.trial_id).scalar_subquery()
    return (
        sa.select(trials.c.number, trials.c.state, values.c.value, reason.c.value_json.label("reason"))
        .add_columns(params.c.param_name, params.c.param_value, params.c.distribution_json)
        .add_columns(sa.func.coalesce(reached, 0).label("epochs"))
        .join(params, params.c.trial_id == trials.c.trial_id)
        .outerjoin(values, values.c.trial_id == trials.c.trial_id)
        .outerjoin(reason, attr_of(trials, reason, "reason"))
        .where(trials.c.study_id == sa.bindparam("study"), trials.c.number >= sa.bindparam("low"), IS_SLOT)
        .where(trials.c.state.in_([state for state in TrialState if state.is_finished()]))
        .order_by(trials.c.datetime_complete, trials.c.number, params.c.param_id)
    )


_TRAINERS = (
    sa.select(*HOLDER, sa.func.count().label("slots"))
    .join(trials, trials.c.trial_id == lease.c.trial_id)
    .where(trials.c.study_id == sa.bindparam("study"), trials.c.state == TrialState.RUNNING, lease.c.expires >= Now())
    .group_by(*HOLDER)
)
"""The owners of leases on RUNNING slots that have not expired, and how many each holds."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the training of a study has come."""

    trials: int
    ended: int
    running: int
    epochs: int
    """Epochs recorded for the RUNNING trials."""
    leading: float | None
    """The highest accuracy of any of these epochs."""
    workers: int
    """Workers that hold slots of the study and are not known to be gone."""


class StudyQueries:
    """Answers the questions of pages, terminal and workers about a study."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def progress(self, study_id: int) -> Progress:
        """Return how far the training of a study has come."""
        rows = self._database.read(_progress(), study=study_id)
        counts = {row.state: row.trials for row in rows}
        return Progress(
            trials=sum(counts.values()),
            ended=sum(count for state, count in counts.items() if state.is_finished()),
            running=counts.get(TrialState.RUNNING, 0),
            epochs=sum(int(row.epochs) for row in rows),
            leading=next((row.leading for row in rows if row.leading is not None), None),
            workers=len(self._trainers(study_id)),
        )

    def finished_trials(self, study_id: int, low: int = 0) -> list[FinishedTrial]:
        """Return the finished slots numbered `low` or higher, in the order they finished."""
        return [
            FinishedTrial(
                row.number, point, row.state, row.value, row.epochs,
                json.loads(row.reason) if row.reason is not None else None,
            )
            for row, point in with_points(self._database.read(_finished_trials(), study=study_id, low=low))
        ]  # fmt: skip

    def values_after(self, study_id: int, epoch: int) -> dict[int, float]:
        """Return the accuracy of each slot after an epoch, by number; −∞ for slots that ended before that epoch.

        Slots that may still reach the epoch are left out.
        """
        reached = (steps.c.trial_id == trials.c.trial_id) & (steps.c.step == epoch)
        query = sa.select(trials.c.number, trials.c.state, steps.c.intermediate_value)
        found = query.where(trials.c.study_id == study_id).outerjoin_from(trials, steps, reached)
        return {
            number: -math.inf if value is None else value
            for number, state, value in self._database.read(found)
            if value is not None or state.is_finished()
        }

    def count_unfinished(self, study_id: int) -> int:
        """Return the number of slots that have not ended."""
        unfinished = trials.c.state.in_((TrialState.RUNNING, TrialState.WAITING))
        ours = (trials.c.study_id == study_id) & IS_SLOT
        ((count,),) = self._database.read(sa.select(sa.func.count()).where(ours, unfinished))
        return int(count)

    def count_training(self, study_id: int) -> int:
        """Return the number of slots in training now: RUNNING under a lease whose owner is not known to be gone.

        There is none in a database without leases: Optuna can copy studies into one.
        """
        return sum(row.slots for row in self._trainers(study_id)) if self._database.has_table(lease.name) else 0

    def _trainers(self, study_id: int) -> Sequence[Row]:
        owners = self._database.read(_TRAINERS, study=study_id)
        return [row for row in owners if not is_gone(row)]


def with_points(rows: Iterable[sa.Row[Any]]) -> list[tuple[sa.Row[Any], Point]]:
    """Return the first row and the point of each trial, from rows that each hold one of its parameters."""
    groups = (list(group) for _, group in itertools.groupby(rows, key=lambda row: row.number))
    return [(group[0], Point(tuple(_parameter(row) for row in group))) for group in groups]


def _parameter(row: sa.Row[Any]) -> tuple[str, Any]:
    return row.param_name, distribution_from_json(row.distribution_json).to_external_repr(row.param_value)
