"""Read the trials of a study repeatedly, each time only those that may have changed.

Optuna reads every trial again through its object mapper, which takes seconds for 10,000 trials. A page that did so
every second would take a processor away from the workers.
"""

import copy
import json
import math
import threading
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, TypeVar

import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.errors import StorageError
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.study_queries import distribution_from_json
from coarsefine.search.storage.tables import attrs, params, steps, system_attrs, trials, values

_BATCH = 500
"""The most trials in one statement: nobody can commit to a SQLite file while it runs."""
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}
"""Numbers that a database cannot hold, by the kind that stands for them."""


def _text(column: sa.Column[Any]) -> sa.ColumnElement[str]:
    """Return an enumeration's column as the text that the database holds, which is three times faster to read."""
    return sa.type_coerce(column, sa.String)


_VERSIONS = sa.select(trials.c.trial_id, _text(trials.c.state), trials.c.datetime_complete)
_HEADS = sa.select(
    trials.c.trial_id, trials.c.number, _text(trials.c.state), trials.c.datetime_start, trials.c.datetime_complete
)
_PARAMS = sa.select(params.c.trial_id, params.c.param_name, params.c.param_value, params.c.distribution_json).order_by(
    params.c.param_id
)
_VALUES = sa.select(values.c.trial_id, values.c.objective, values.c.value, _text(values.c.value_type))
_STEPS = sa.select(steps.c.trial_id, steps.c.step, steps.c.intermediate_value, _text(steps.c.intermediate_value_type))
_ATTRS = sa.select(attrs.c.trial_id, attrs.c.key, attrs.c.value_json)
_SYSTEM_ATTRS = sa.select(system_attrs.c.trial_id, system_attrs.c.key, system_attrs.c.value_json)

_Version = tuple[str, datetime | None]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class _Read:
    version: _Version
    """State and end. A trial has changed if they differ; a running trial may have changed if they do not."""
    trial: FrozenTrial


class UnreadableTrials(StorageError):  # noqa: N818 - named after what it finds
    """Rows of a study do not hold what Optuna writes."""


class CachingStorage(Storage):
    """An Optuna storage that reads again only the trials that may have changed. Threads may share it.

    optuna-dashboard takes its trials from it, too, and so reads as little as we do.
    """

    def __init__(self, location: Location) -> None:
        super().__init__(location)
        self._lock = threading.Lock()
        self._read: dict[int, dict[int, _Read]] = {}
        self._trials: dict[int, tuple[FrozenTrial, ...]] = {}

    def trials_of(self, study_id: int) -> tuple[FrozenTrial, ...]:
        """Return a study's trials by number: the same tuple as before if none has changed, () if there is no study.

        Callers share the trials and must not change them. Raises `UnreadableTrials` or another `StorageError`.
        """
        with self._lock, self.guarded(), self.engine.connect() as connection:
            try:
                self._update(connection, study_id)
            except (KeyError, TypeError, ValueError) as error:
                raise UnreadableTrials(
                    f"The trials of study {study_id} are not as Optuna writes them: {error!r}."
                ) from error
            return self._trials.get(study_id, ())

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return a study's trials."""
        self.get_study_name_from_id(study_id)  # raises Optuna's KeyError if there is no such study
        found = [trial for trial in self.trials_of(study_id) if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def _update(self, connection: sa.Connection, study_id: int) -> None:
        before = self._read.get(study_id, {})
        rows = connection.execute(_VERSIONS.where(trials.c.study_id == study_id))
        versions = {trial_id: (state, end) for trial_id, state, end in rows}
        now = _updated(connection, before, versions)
        if now != before:
            self._read[study_id] = now
            self._trials[study_id] = tuple(sorted((read.trial for read in now.values()), key=attrgetter("number")))


def _updated(connection: sa.Connection, before: dict[int, _Read], versions: dict[int, _Version]) -> dict[int, _Read]:
    """Return what was read before, with the trials that may have changed read again."""
    running = TrialState.RUNNING.name
    stale = [i for i, v in versions.items() if i not in before or before[i].version != v or v[0] == running]
    now = {i: before[i] for i in versions if i in before}
    for start in range(0, len(stale), _BATCH):
        loaded = _load(connection, stale[start : start + _BATCH])
        now.update({i: _Read(versions[i], trial) for i, trial in loaded.items()})
    return now


def _load(connection: sa.Connection, ids: Sequence[int]) -> dict[int, FrozenTrial]:
    def rows(query: sa.Select[Any]) -> Sequence[Any]:
        return connection.execute(query.where(query.selected_columns[0].in_(ids))).all()

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
            user_attrs=user_attrs[i],
            system_attrs=optuna_attrs[i],
            intermediate_values=epochs[i],
            trial_id=i,
        )
        for i, number, state, start, end in rows(_HEADS)
    }


def _by_trial(items: Iterable[tuple[int, _Key, _Value]]) -> defaultdict[int, dict[_Key, _Value]]:
    """Return values by trial and by key."""
    found = defaultdict[int, dict[_Key, _Value]](dict)
    for trial_id, key, value in items:
        found[trial_id][key] = value
    return found


def _local(moment: datetime | None) -> datetime | None:
    """Convert a stored time, which is in UTC, into the local time without a zone that Optuna returns."""
    return moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None) if moment else None
