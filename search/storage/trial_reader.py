"""Read the trials of a study in a few statements for hundreds of them.

Optuna reads every trial through its object mapper, which takes seconds for 10,000 trials.
"""

import gc
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from sys import intern
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.storage.dialect import moment
from coarsefine.search.storage.study_queries import distribution_from_json
from coarsefine.search.storage.tables import attrs, params, steps, system_attrs, trials, values

_BATCH = 500
"""The most trials in one statement: nobody can commit to a SQLite file while it runs."""
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}
"""Numbers that a database cannot hold, by the kind that stands for them."""
_NUMBERS = {int, float}
_STATES = {state.name: state for state in TrialState}


def as_text(column: sa.Column[Any]) -> sa.ColumnElement[str]:
    """Return an enumeration's column as the text that the database holds, which is three times faster to read."""
    return sa.type_coerce(column, sa.String)


class _Rows:
    """A query for rows of trials, given by their ids: by all between two ids, which is faster, or one by one."""

    def __init__(self, query: sa.Select[Any]) -> None:
        trial_id = query.selected_columns[0]
        self.between = query.where(trial_id.between(sa.bindparam("low"), sa.bindparam("high")))
        self.among = query.where(trial_id.in_(sa.bindparam("ids", expanding=True)))


_HEADS = _Rows(
    sa.select(
        trials.c.trial_id, trials.c.number, as_text(trials.c.state), trials.c.datetime_start, trials.c.datetime_complete
    )
)
_PARAMS = _Rows(
    sa.select(params.c.trial_id, params.c.param_name, params.c.param_value, params.c.distribution_json).order_by(
        params.c.param_id
    )
)
_VALUES = _Rows(sa.select(values.c.trial_id, values.c.objective, values.c.value, as_text(values.c.value_type)))
_STEPS = _Rows(
    sa.select(steps.c.trial_id, steps.c.step, steps.c.intermediate_value, as_text(steps.c.intermediate_value_type))
)
_ATTRS = _Rows(sa.select(attrs.c.trial_id, attrs.c.key, attrs.c.value_json))
_SYSTEM_ATTRS = _Rows(sa.select(system_attrs.c.trial_id, system_attrs.c.key, system_attrs.c.value_json))

_EPOCH, _SECOND = datetime(1970, 1, 1), timedelta(seconds=1)  # noqa: DTZ001 - stored times have no zone
_read_json = json.JSONDecoder().raw_decode
_Ranges = tuple[tuple[str, str], ...]
"""Names of parameters and texts of their distributions."""


def ids_of(connection: sa.Connection, study_id: int) -> Sequence[int]:
    """Return the ids of a study's trials."""
    query = sa.select(trials.c.trial_id).where(trials.c.study_id == study_id)
    return [trial_id for (trial_id,) in _driver_rows(connection, query, {})]


def _driver_rows(
    connection: sa.Connection, query: sa.Select[Any], bound: Mapping[str, Any]
) -> Sequence[tuple[Any, ...]]:
    """Return the driver's own rows, which take half as long to unpack as SQLAlchemy's; it converts no times."""
    with closing(connection.execute(query, bound)) as result:
        assert result.cursor is not None, "a query has rows"  # noqa: S101
        return result.cursor.fetchall()


def read_trials(connection: sa.Connection, ids: Sequence[int]) -> tuple[dict[int, FrozenTrial], set[int]]:
    """Return trials by id, and the ids of those that do not have numbers where Optuna writes numbers.

    Trials may share the values of their attributes, which nobody changes.
    """
    ids = sorted(ids)
    found: dict[int, FrozenTrial] = {}
    damaged: set[int] = set()
    with without_collector():
        for start in range(0, len(ids), _BATCH):
            with moment(connection):
                found |= _read_batch(connection, ids[start : start + _BATCH], damaged)
    return found, damaged


@contextmanager
def without_collector() -> Iterator[None]:
    """Pause Python's collector of garbage while many objects are made.

    It would look at all of them again and again, though all are kept.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read_batch(connection: sa.Connection, ids: Sequence[int], damaged: set[int]) -> dict[int, FrozenTrial]:
    """Return trials by id; add those that do not have numbers where Optuna writes numbers to `damaged`."""
    wanted = {"low": ids[0], "high": ids[-1]} if ids[-1] - ids[0] < len(ids) else {"ids": ids}

    def query(table: _Rows) -> sa.Select[Any]:
        return table.between if "low" in wanted else table.among

    def rows(table: _Rows) -> Sequence[tuple[Any, ...]]:
        return _driver_rows(connection, query(table), wanted)

    heads = connection.execute(query(_HEADS), wanted).all()
    points, ranges = _points(rows(_PARAMS), damaged)
    final, epochs = (_numbers(rows(table), damaged) for table in (_VALUES, _STEPS))
    user_attrs, optuna_attrs = (_attributes(rows(table)) for table in (_ATTRS, _SYSTEM_ATTRS))
    damaged.update(i for i, number, *_ in heads if not is_number(number))
    return {
        i: FrozenTrial(
            number=number,
            state=_STATES[state],
            value=None,
            values=[value for _, value in sorted(final[i].items())] if i in final else None,
            datetime_start=_local(start),
            datetime_complete=_local(end),
            params=points[i],
            distributions=_together(ranges[i]),
            user_attrs=user_attrs[i],
            system_attrs=optuna_attrs[i],
            intermediate_values=epochs[i],
            trial_id=i,
        )
        for i, number, state, start, end in heads
    }


def is_number(number: object) -> bool:
    """Return whether a trial can have this number."""
    return type(number) is int and number >= 0


def _points(
    rows: Iterable[tuple[Any, ...]], damaged: set[int]
) -> tuple[defaultdict[int, dict[str, Any]], defaultdict[int, _Ranges]]:
    """Return parameters by trial and by name, and the texts of their distributions by trial."""
    points = defaultdict[int, dict[str, Any]](dict)
    ranges = defaultdict[int, _Ranges](tuple)
    for i, name, stored, text in rows:
        distribution = distribution_from_json(text)
        value = distribution.to_external_repr(stored)
        if type(value) not in _NUMBERS and not isinstance(distribution, CategoricalDistribution):
            damaged.add(i)  # SQLite takes anything
        points[i][intern(name)] = value
        ranges[i] += ((name, text),)
    return points, ranges


@lru_cache
def _together(ranges: _Ranges) -> dict[str, BaseDistribution]:
    """Return distributions by name: one object for all trials that share their ranges, as those of a stage do."""
    return {name: distribution_from_json(text) for name, text in ranges}


class _Decoded(dict[str, Any]):
    """What JSON texts hold. Equal texts are decoded once, to save time and memory."""

    def __missing__(self, text: str) -> Any:
        value = _decode(text)
        self[text] = value = intern(value) if type(value) is str else value
        return value


def _attributes(rows: Iterable[tuple[Any, ...]]) -> defaultdict[int, dict[str, Any]]:
    """Return attributes by trial and by key."""
    found, decoded = defaultdict[int, dict[str, Any]](dict), _Decoded()
    for i, key, text in rows:
        found[i][intern(key)] = decoded[text]
    return found


def _decode(text: str) -> Any:
    """Do what `json.loads` does, in half the time."""
    try:
        value, end = _read_json(text)
    except ValueError:
        return json.loads(text)  # which raises, or skips spaces
    return value if end == len(text) else json.loads(text)


def _numbers(rows: Iterable[tuple[Any, ...]], damaged: set[int]) -> defaultdict[int, dict[int, float]]:
    """Return final or intermediate values by trial and by objective or epoch."""
    found = defaultdict[int, dict[int, float]](dict)
    for i, key, stored, kind in rows:
        value = _NOT_FINITE.get(kind, stored)
        if type(value) is not float:
            damaged.add(i)
        found[i][key] = value
    return found


def _local(moment: datetime | None) -> datetime | None:
    """Convert a stored time, which is in UTC, into the local time without a zone that Optuna returns."""
    if moment is None:
        return None
    found = datetime.fromtimestamp((moment - _EPOCH) / _SECOND)  # noqa: DTZ006 - five times as fast as by a zone
    return found.replace(fold=0) if found.fold else found
