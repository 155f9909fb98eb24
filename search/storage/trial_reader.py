"""Read the trials of a study in a few statements for hundreds of them.

Optuna reads every trial through its object mapper, which takes seconds for 10,000 trials.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, TypeVar

import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.errors import StorageError
from coarsefine.search.storage.study_queries import distribution_from_json
from coarsefine.search.storage.tables import ENDED, attrs, params, steps, system_attrs, trials, values

_BATCH = 500
"""The most trials in one statement: nobody can commit to a SQLite file while it runs."""
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}
"""Numbers that a database cannot hold, by the kind that stands for them."""


def as_text(column: sa.Column[Any]) -> sa.ColumnElement[str]:
    """Return an enumeration's column as the text that the database holds, which is three times faster to read."""
    return sa.type_coerce(column, sa.String)


_ended = attrs.alias("ended")
# State and mark of the end in one statement: a trial that ends between two would seem to be changed by another program.
_HEADS = sa.select(
    trials.c.trial_id, trials.c.number, as_text(trials.c.state), trials.c.datetime_start, trials.c.datetime_complete,
    _ended.c.value_json,
).outerjoin(_ended, (_ended.c.trial_id == trials.c.trial_id) & (_ended.c.key == ENDED))  # fmt: skip
_PARAMS = sa.select(params.c.trial_id, params.c.param_name, params.c.param_value, params.c.distribution_json).order_by(
    params.c.param_id
)
_VALUES = sa.select(values.c.trial_id, values.c.objective, values.c.value, as_text(values.c.value_type))
_STEPS = sa.select(steps.c.trial_id, steps.c.step, steps.c.intermediate_value, as_text(steps.c.intermediate_value_type))
_ATTRS = sa.select(attrs.c.trial_id, attrs.c.key, attrs.c.value_json)
_SYSTEM_ATTRS = sa.select(system_attrs.c.trial_id, system_attrs.c.key, system_attrs.c.value_json)

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class UnreadableTrials(StorageError):  # noqa: N818 - named after what it finds
    """Rows of a study do not hold what Optuna writes."""


@contextmanager
def readable(study_id: int) -> Iterator[None]:
    """Raise `UnreadableTrials` if rows of a study do not hold what Optuna writes."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableTrials(f"The trials of study {study_id} are not as Optuna writes them: {error!r}.") from error


def read_study(connection: sa.Connection, study_id: int) -> tuple[FrozenTrial, ...]:
    """Return a study's trials by number, () if there is no study; raise `UnreadableTrials`."""
    ids = connection.scalars(sa.select(trials.c.trial_id).where(trials.c.study_id == study_id)).all()
    with readable(study_id):
        return tuple(sorted(read_trials(connection, ids).values(), key=attrgetter("number")))


def read_trials(connection: sa.Connection, ids: Sequence[int]) -> dict[int, FrozenTrial]:
    """Return trials by id."""
    found: dict[int, FrozenTrial] = {}
    for start in range(0, len(ids), _BATCH):
        found |= _read_batch(connection, ids[start : start + _BATCH])
    return found


def _read_batch(connection: sa.Connection, ids: Sequence[int]) -> dict[int, FrozenTrial]:
    def rows(query: sa.Select[Any]) -> Sequence[Any]:
        return connection.execute(query.where(query.selected_columns[0].in_(ids))).all()

    heads = rows(_HEADS)  # first: a trial that has ended in them has its value in what is read later
    params_read = [(i, name, value, distribution_from_json(text)) for i, name, value, text in rows(_PARAMS)]
    points = _by_trial((i, name, dimension.to_external_repr(value)) for i, name, value, dimension in params_read)
    ranges = _by_trial((i, name, dimension) for i, name, _, dimension in params_read)
    final, epochs = (
        _by_trial((i, key, _NOT_FINITE.get(kind, value)) for i, key, value, kind in rows(query))
        for query in (_VALUES, _STEPS)
    )
    user_attrs, optuna_attrs = (
        _by_trial((i, key, json.loads(text)) for i, key, text in rows(query)) for query in (_ATTRS, _SYSTEM_ATTRS)
    )
    return {
        i: FrozenTrial(
            number=number,
            state=TrialState[state],
            value=None,
            values=[value for _, value in sorted(final[i].items())] if i in final else None,
            datetime_start=_local(start),
            datetime_complete=_local(end),
            params=points[i],
            distributions=ranges[i],
            user_attrs=_as_in_head(user_attrs[i], ended),
            system_attrs=optuna_attrs[i],
            intermediate_values=epochs[i],
            trial_id=i,
        )
        for i, number, state, start, end, ended in heads
    }


def _as_in_head(found: Mapping[str, Any], ended: str | None) -> dict[str, Any]:
    """Return attributes with the mark of the end that was read together with the state, as JSON; None: it had none."""
    if ended is None:
        return {key: value for key, value in found.items() if key != ENDED}
    return {**found, ENDED: json.loads(ended)}


def _by_trial(items: Iterable[tuple[int, _Key, _Value]]) -> defaultdict[int, dict[_Key, _Value]]:
    """Return values by trial and by key."""
    found = defaultdict[int, dict[_Key, _Value]](dict)
    for trial_id, key, value in items:
        found[trial_id][key] = value
    return found


def _local(moment: datetime | None) -> datetime | None:
    """Convert a stored time, which is in UTC, into the local time without a zone that Optuna returns."""
    return moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None) if moment else None
