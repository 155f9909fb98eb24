"""Reads the trials of a study again and again, each time only those that may have changed.

Optuna's own reading makes each trial anew through its object mapper, which takes seconds for 10,000 of them. A page
that did so every second would take a processor from the workers.
"""

import json
import math
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.errors import StorageError
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.tables import (
    attrs,
    params,
    steps,
    system_attrs,
    trials,
    values,
)

_AT_ONCE = 500
"""Trials in one statement: while it runs, nobody can commit to SQLite."""
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


def _plain(column: sa.Column[Any]) -> sa.ColumnElement[str]:
    """Return a column of an enumeration as the database keeps it, its name: three times faster to read."""
    return sa.type_coerce(column, sa.String)


_MARKS = sa.select(trials.c.trial_id, _plain(trials.c.state), trials.c.datetime_complete)
_HEADS = sa.select(
    trials.c.trial_id, trials.c.number, _plain(trials.c.state), trials.c.datetime_start, trials.c.datetime_complete
)
_PARAMS = sa.select(params.c.trial_id, params.c.param_name, params.c.param_value, params.c.distribution_json).order_by(
    params.c.param_id
)
_VALUES = sa.select(values.c.trial_id, values.c.objective, values.c.value, _plain(values.c.value_type))
_STEPS = sa.select(steps.c.trial_id, steps.c.step, steps.c.intermediate_value, _plain(steps.c.intermediate_value_type))
_ATTRS = sa.select(attrs.c.trial_id, attrs.c.key, attrs.c.value_json)
_SYSTEM_ATTRS = sa.select(system_attrs.c.trial_id, system_attrs.c.key, system_attrs.c.value_json)

_Mark = tuple[str, datetime | None]


@dataclass(frozen=True, slots=True)
class _Known:
    mark: _Mark
    """State and end. Where they are others, the trial has changed; one in training may have without."""
    trial: FrozenTrial


class UnreadableTrials(StorageError):  # noqa: N818 - what they are, not how it is told
    """Rows of a study do not hold what Optuna writes."""


class TrialReader:
    """The trials of a storage's studies, as last read. Threads may share it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._known: dict[int, dict[int, _Known]] = {}
        self._trials: dict[int, tuple[FrozenTrial, ...]] = {}

    def read(self, study_id: int) -> tuple[FrozenTrial, ...]:
        """Return a study's trials in the order of their numbers; the same object as before if none has changed.

        They are shared: nobody may change them. A study that is not there has none. Raises `UnreadableTrials` or
        another `StorageError`.
        """
        with self._lock, self._storage.guarded(), self._storage.engine.connect() as connection:
            try:
                self._bring_up(connection, study_id)
            except (KeyError, TypeError, ValueError) as error:
                raise UnreadableTrials(
                    f"The trials of study {study_id} are not as Optuna writes them: {error!r}."
                ) from error
            return self._trials.get(study_id, ())

    def _bring_up(self, connection: sa.Connection, study_id: int) -> None:
        before = self._known.get(study_id, {})
        found = connection.execute(_MARKS.where(trials.c.study_id == study_id))
        marks = {trial_id: (state, ended) for trial_id, state, ended in found}
        now = _brought_up(connection, before, marks)
        if now != before:
            self._known[study_id] = now
            self._trials[study_id] = tuple(sorted((known.trial for known in now.values()), key=_number))


def _number(trial: FrozenTrial) -> int:
    return trial.number


def _brought_up(connection: sa.Connection, before: dict[int, _Known], marks: dict[int, _Mark]) -> dict[int, _Known]:
    running = TrialState.RUNNING.name
    stale = [i for i, mark in marks.items() if i not in before or before[i].mark != mark or mark[0] == running]
    now = {i: before[i] for i in marks if i in before}
    for start in range(0, len(stale), _AT_ONCE):
        loaded = _load(connection, stale[start : start + _AT_ONCE])
        now.update({i: _Known(marks[i], trial) for i, trial in loaded.items()})
    return now


def _load(connection: sa.Connection, ids: Sequence[int]) -> dict[int, FrozenTrial]:
    def rows(query: sa.Select[Any]) -> Sequence[Any]:
        return connection.execute(query.where(query.selected_columns[0].in_(ids))).all()

    given, ranges = defaultdict[int, dict[str, Any]](dict), defaultdict[int, dict[str, BaseDistribution]](dict)
    for trial_id, name, value, form in rows(_PARAMS):
        ranges[trial_id][name] = _distribution(form)
        given[trial_id][name] = ranges[trial_id][name].to_external_repr(value)
    scores, epochs = _numbers(rows(_VALUES)), _numbers(rows(_STEPS))
    ours, optunas = _objects(rows(_ATTRS)), _objects(rows(_SYSTEM_ATTRS))
    return {
        i: FrozenTrial(
            number=number,
            state=TrialState[state],
            value=None,
            values=[score for _, score in sorted(scores[i].items())] if i in scores else None,
            datetime_start=_local(start),
            datetime_complete=_local(end),
            params=given[i],
            distributions=ranges[i],
            user_attrs=ours[i],
            system_attrs=optunas[i],
            intermediate_values=epochs[i],
            trial_id=i,
        )
        for i, number, state, start, end in rows(_HEADS)
    }


@lru_cache
def _distribution(form: str) -> BaseDistribution:
    return json_to_distribution(form)


def _numbers(rows: Iterable[Any]) -> defaultdict[int, dict[int, float]]:
    found = defaultdict[int, dict[int, float]](dict)
    for trial_id, place, value, kind in rows:
        found[trial_id][place] = _NOT_FINITE.get(kind, value)
    return found


def _objects(rows: Iterable[Any]) -> defaultdict[int, dict[str, Any]]:
    found = defaultdict[int, dict[str, Any]](dict)
    for trial_id, key, form in rows:
        found[trial_id][key] = json.loads(form)
    return found


def _local(moment: datetime | None) -> datetime | None:
    """Return a moment as Optuna hands it out: local, without a zone; it is stored in UTC."""
    return moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None) if moment else None
