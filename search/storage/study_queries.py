"""Queries about a study while it is trained: its progress, its finished trials and points, what is left to train."""

import itertools
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa
from optuna import distributions as optunas
from optuna.trial import TrialState

from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.space import Point
from coarsefine.search.storage.database import Database, Row
from coarsefine.search.storage.lease_owner import holders_query, holds
from coarsefine.search.storage.slots import FinishedTrial, set_by_others
from coarsefine.search.storage.study_headers import NAMES, StudyName, checks_of, checks_query, names_of
from coarsefine.search.storage.tables import (
    EARLIER_FAILURES,
    ENDED,
    HAS_ENDED,
    IDENTITY,
    IS_SLOT_HERE,
    SLOTS,
    attr_of,
    attrs,
    lease,
    params,
    steps,
    studies,
    study_attr,
    study_attrs,
    trials,
    values,
)

distribution_from_json = lru_cache(optunas.json_to_distribution)
"""Read a distribution as Optuna stores it; most trials of a study share the same texts."""

_HERE = trials.c.study_id == sa.bindparam("study")
"""Whether a trial is of the study that is asked about."""
_AMONG = trials.c.state.in_(list(TrialState)) & trials.c.number.between(sa.bindparam("low"), sa.bindparam("high"))
"""Whether its number is in the range that is asked about; naming all states lets a database use the index."""
_UNFINISHED = (_HERE, trials.c.state.in_((TrialState.RUNNING, TrialState.WAITING)), IS_SLOT_HERE, ~HAS_ENDED)
"""Whether it is a slot that has not ended."""


@cache
def _progress(direction: Direction) -> sa.Select[Any]:
    """Count the slots in each state; for RUNNING slots, also the epochs recorded and the best value."""
    best = sa.func.max if direction is Direction.MAXIMIZE else sa.func.min

    def recorded(what: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.select(what).where(steps.c.trial_id == trials.c.trial_id).scalar_subquery()

    running = trials.c.state == TrialState.RUNNING
    epochs = sa.case((running, recorded(sa.func.count())), else_=0)
    leading = sa.case((running, recorded(best(steps.c.intermediate_value))))
    return (
        sa.select(trials.c.state, sa.func.count().label("trials"))
        .add_columns(sa.func.sum(epochs).label("epochs"), best(leading).label("leading"))
        .where(_HERE, IS_SLOT_HERE)
        .group_by(trials.c.state)
    )


@cache
def _finished_trials() -> sa.Select[Any]:
    """Select the finished slots from a number on, in the order they finished; a row for each parameter."""
    reason, mark = attrs.alias(), attrs.alias()
    reached = sa.select(sa.func.max(steps.c.step)).where(steps.c.trial_id == trials.c.trial_id).scalar_subquery()
    return (
        sa.select(trials.c.number, trials.c.state, values.c.value, reason.c.value_json.label("reason"))
        .add_columns(mark.c.value_json.label("mark"), study_attr(SLOTS, trials.c.study_id).label("slots"))
        .add_columns(params.c.param_name, params.c.param_value, params.c.distribution_json)
        .add_columns(sa.func.coalesce(reached, 0).label("epochs"))
        .join(params, params.c.trial_id == trials.c.trial_id)
        .outerjoin(values, values.c.trial_id == trials.c.trial_id)
        .outerjoin(reason, attr_of(trials, reason, "reason"))
        .outerjoin(mark, attr_of(trials, mark, ENDED))
        .where(_HERE, trials.c.number >= sa.bindparam("low"), IS_SLOT_HERE)
        .where(trials.c.state.in_([state for state in TrialState if state.is_finished()]))
        .order_by(trials.c.datetime_complete, trials.c.number, params.c.param_id)
    )


_TRAINERS = holders_query(
    lease.c.trial_id.in_(sa.select(trials.c.trial_id).where(_HERE, trials.c.state == TrialState.RUNNING))
)
"""The owners of leases on RUNNING slots."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the training of a study has come."""

    trials: int
    ended: int
    running: int
    epochs: int
    """Epochs recorded for the RUNNING trials."""
    leading: float | None
    """The best value of any of these epochs."""
    workers: int
    """Workers that hold slots of the study and are not known to be gone."""


_NAME = sa.select(studies.c.study_name, study_attr(IDENTITY, studies.c.study_id).label(IDENTITY)).where(
    studies.c.study_id == sa.bindparam("study")
)


@cache
def _unlike_slots() -> sa.Select[Any]:
    """Select the trials of a study that are no slots, and the slots whose state does not fit their mark."""
    finished = trials.c.state.in_([state for state in TrialState if state.is_finished()])
    return (
        sa.select(trials.c.number, IS_SLOT_HERE.label("is_slot"))
        .where(_HERE)
        .where(~IS_SLOT_HERE | (finished & ~HAS_ENDED) | (~finished & HAS_ENDED))
        .order_by(trials.c.number)
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """What other programs have made of a study."""

    name: str | None
    """Its name; None if there is no study with its id and identity."""
    slots: int
    """The number of its slots that exist."""
    others: tuple[int, ...]
    """The numbers of trials that are no slots."""
    changed: tuple[int, ...]
    """The numbers of slots that another program ended, or set to an earlier state after their end."""


class StudyQueries:
    """Answers the questions of pages, terminal and workers about a study."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def progress(self, study_id: int, direction: Direction = Direction.MAXIMIZE) -> Progress:
        """Return how far the training of a study has come; `direction` says which of its values is the best."""
        rows = self._database.read(_progress(direction), study=study_id)
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
        found = with_points(self._database.read(_finished_trials(), study=study_id, low=low))
        return [_finished(row, point) for row, point in found]

    def values_after(self, study_id: int, epoch: int, numbers: range) -> dict[int, float | None]:
        """Return the value after an epoch of each slot with one of these numbers; None if it ended before that epoch.

        Slots that may still reach the epoch are left out.
        """
        reached = (steps.c.trial_id == trials.c.trial_id) & (steps.c.step == epoch)
        query = sa.select(trials.c.number, trials.c.state, steps.c.intermediate_value)
        found = query.where(_HERE, _AMONG, IS_SLOT_HERE).outerjoin_from(trials, steps, reached)
        bound = {"study": study_id, "low": numbers.start, "high": numbers.stop - 1}
        return {
            number: value
            for number, state, value in self._database.read(found, **bound)
            if value is not None or state.is_finished()
        }

    def retries(self, study_id: int, numbers: range) -> dict[int, int]:
        """Return which retry of the study last put a slot back, from 1, of the retried slots among these numbers."""
        query = sa.select(trials.c.number, attrs.c.value_json).join(attrs, attr_of(trials, attrs, EARLIER_FAILURES))
        bound = {"study": study_id, "low": numbers.start, "high": numbers.stop - 1}
        found = self._database.read(query.where(_HERE, _AMONG), **bound)
        return {number: json.loads(text)[-1]["retry"] for number, text in found}

    def count_unfinished(self, study_id: int) -> int:
        """Return the number of slots that have not ended."""
        ((count,),) = self._database.read(sa.select(sa.func.count()).where(*_UNFINISHED), study=study_id)
        return int(count)

    def has_unfinished(self, study_id: int) -> bool:
        """Return whether a slot has not ended, which takes no longer if there are many."""
        return bool(self._database.read(sa.select(trials.c.trial_id).where(*_UNFINISHED).limit(1), study=study_id))

    def names(self) -> list[StudyName]:
        """Return all studies of the storage, of any program."""
        return names_of(self._database.read(NAMES))

    def checks(self, study_id: int) -> list[int]:
        """Return the checks of a study's slots by number, as `seal.checks_of` made them; [] for earlier versions."""
        return checks_of(self._database.read(checks_query(study_id)))

    def count_trials(self, names: Collection[str]) -> int:
        """Return the number of trials of studies, given by name, of any program."""
        named = sa.select(studies.c.study_id).where(studies.c.study_name.in_(names))
        ((count,),) = self._database.read(sa.select(sa.func.count()).where(trials.c.study_id.in_(named)))
        return int(count)

    def standing(self, study_id: int, identity: str | None) -> Standing:
        """Return what other programs have made of a study, whose slots are marked."""
        named = self._database.read(_NAME, study=study_id)
        same = [row.study_name for row in named if identity is None or row.id == json.dumps(identity)]
        ((slots,),) = self._database.read(sa.select(sa.func.count()).where(_HERE, IS_SLOT_HERE), study=study_id)
        unlike = self._database.read(_unlike_slots(), study=study_id)
        others, changed = (tuple(row.number for row in unlike if bool(row.is_slot) is kind) for kind in (False, True))
        return Standing(same[0] if same else None, slots, others, changed)

    def lacks_attr(self, study_id: int, identity: str | None, key: str) -> bool:
        """Return whether there still is the study of this identity, and it does not have an attribute."""
        wanted = [IDENTITY, key] if identity is not None else [key]
        chosen = (study_attrs.c.study_id == study_id) & study_attrs.c.key.in_(wanted)
        found = self._database.read(sa.select(study_attrs.c.key, study_attrs.c.value_json).where(chosen))
        return [(row.key, json.loads(row.value_json)) for row in found] == [(IDENTITY, identity)] * (len(wanted) - 1)

    def has_ended(self, study_id: int, number: int) -> bool:
        """Return whether the slot of this number has ended, or is there no more."""
        states = self._database.read(
            sa.select(trials.c.state).where(trials.c.study_id == study_id, trials.c.number == number)
        )
        return all(state.is_finished() for (state,) in states)

    def count_training(self, study_id: int) -> int:
        """Return the number of slots in training now: RUNNING under a lease whose owner is not known to be gone.

        There is none in a database without leases: Optuna can copy studies into one.
        """
        return sum(row.leases for row in self._trainers(study_id)) if self._database.has_table(lease.name) else 0

    def _trainers(self, study_id: int) -> Sequence[Row]:
        return [row for row in self._database.read(_TRAINERS, study=study_id) if holds(row)]


def _finished(row: sa.Row[Any], point: Point) -> FinishedTrial:
    reason, mark = (json.loads(text) if text is not None else None for text in (row.reason, row.mark))
    if row.slots is not None and (others := set_by_others(row.state, row.value, mark)):
        return FinishedTrial(row.number, point, TrialState.FAIL, None, row.epochs, others)
    return FinishedTrial(row.number, point, row.state, row.value, row.epochs, reason)


def with_points(rows: Iterable[sa.Row[Any]]) -> list[tuple[sa.Row[Any], Point]]:
    """Return the first row and the point of each trial, from rows that each hold one of its parameters."""
    groups = (list(group) for _, group in itertools.groupby(rows, key=lambda row: row.number))
    return [(group[0], Point(tuple(_parameter(row) for row in group))) for group in groups]


def _parameter(row: sa.Row[Any]) -> tuple[str, Any]:
    return row.param_name, distribution_from_json(row.distribution_json).to_external_repr(row.param_value)
