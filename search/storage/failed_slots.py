"""Retrying: slots that FAILed wait again under their number, point and seed, and keep why they failed before.

A stage is opened only while no slot of its parents waits, and a retry notes which stages were open by then. So each
stage follows from its parents as they were either before or after a retry, and the studies say which.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from coarsefine.search.errors import UsageError
from coarsefine.search.storage.dialect import upsert
from coarsefine.search.storage.lease_owner import holders_query, holds
from coarsefine.search.storage.seal import set_attrs
from coarsefine.search.storage.slots import set_by_others
from coarsefine.search.storage.tables import (
    EARLIER_FAILURES,
    ENDED,
    FINAL_TRAINING,
    IS_SLOT,
    RETRIED,
    SEED,
    SLOTS,
    attrs,
    lease,
    rows_of,
    steps,
    studies,
    study_attr,
    study_attrs,
    trials,
    values,
)

_BATCH = 500
"""The most slots in one statement: SQLite limits the number of its variables."""

_EPOCHS = sa.select(sa.func.count()).where(steps.c.trial_id == trials.c.trial_id).scalar_subquery()
_VALUE = sa.select(values.c.value).where(values.c.trial_id == trials.c.trial_id, values.c.objective == 0)
_SLOTS = sa.select(
    trials.c.trial_id,
    trials.c.number,
    trials.c.state,
    trials.c.datetime_complete,
    _EPOCHS.label("epochs"),
    _VALUE.scalar_subquery().label("value"),
)


@dataclass(frozen=True, slots=True)
class StageRetry:
    """The failed slots of a stage that are to wait again."""

    study_id: int
    numbers: Sequence[int]
    """The slots' numbers, rising."""
    opened: Sequence[str]
    """The later stages that were opened from the stage before; they stay as they are."""


def retry_slots(
    connection: sa.Connection, retries: Sequence[StageRetry], known: Collection[int], unopened: Collection[str]
) -> bool:
    """Let failed slots wait again; do nothing and return False if a study was opened meanwhile.

    `known` are the ids of the campaign's studies, and `unopened` the names of those that do not exist yet. Raises
    `UsageError` if a slot has not failed, or if the winner has been or is being trained.
    """
    lock_studies(connection, known)
    if connection.execute(sa.select(studies.c.study_id).where(studies.c.study_name.in_(unopened))).first():
        return False
    _refuse_final(connection, known)
    for retry in retries:
        _retry(connection, retry)
    return True


def lock_studies(connection: sa.Connection, known: Collection[int]) -> None:
    """Lock studies until the transaction ends, as whoever opens a later stage or retries slots does.

    SQLite has one writer at a time anyway. PostgreSQL sees what others wrote meanwhile in the next statement.
    """
    ours = sa.select(studies.c.study_id).where(studies.c.study_id.in_(known)).order_by(studies.c.study_id)
    connection.execute(ours.with_for_update()).all()


def are_final(connection: sa.Connection, known: Mapping[int, int]) -> bool:
    """Return whether studies have ended and have not been retried since; given by id with the known number of retries.

    Locks them, so that they stay so until the transaction ends.
    """
    lock_studies(connection, known)
    unfinished = trials.c.state.in_((TrialState.RUNNING, TrialState.WAITING))
    if connection.scalar(sa.select(sa.exists().where(trials.c.study_id.in_(known), unfinished, IS_SLOT))):
        return False
    return all(len(_retries_of(connection, study)) == retries for study, retries in known.items())


def _refuse_final(connection: sa.Connection, known: Collection[int]) -> None:
    final = sa.select(study_attrs.c.key).where(study_attrs.c.study_id.in_(known), study_attrs.c.key == FINAL_TRAINING)
    if connection.execute(final).first():
        raise UsageError(
            "The winner has been trained and measured, which was chosen from the trials as they are: no trial can be "
            "retried. Start the campaign under another name."
        )
    # The lock of a study as a whole has its negative id.
    holders = connection.execute(holders_query(lease.c.trial_id.in_([-study for study in known]))).all()
    if any(map(holds, holders)):
        raise UsageError("The winner is being trained: no trial can be retried. Stop that run first, then try again.")


def _retry(connection: sa.Connection, retry: StageRetry) -> None:
    study, numbers = retry.study_id, retry.numbers
    before = _retries_of(connection, study)
    for start in range(0, len(numbers), _BATCH):
        failed = _failed(connection, study, numbers[start : start + _BATCH])
        ids = [row.trial_id for row, _ in failed]
        _keep_failures(connection, failed, retry=len(before) + 1)
        for table in (values, steps):
            connection.execute(table.delete().where(table.c.trial_id.in_(ids)))
        connection.execute(
            attrs.delete().where(attrs.c.trial_id.in_(ids), attrs.c.key.not_in([SEED, EARLIER_FAILURES]))
        )
        waiting = {"state": TrialState.WAITING, "datetime_start": None, "datetime_complete": None}
        connection.execute(trials.update().where(trials.c.trial_id.in_(ids)).values(waiting))
        connection.execute(lease.update().where(lease.c.trial_id.in_(ids)).values(deaths=0, story="[]"))
    event = {"time": _utc(datetime.now(UTC)), "trials": list(numbers), "opened": list(retry.opened)}
    set_attrs(connection, study, {RETRIED: [*before, event]})


def _failed(connection: sa.Connection, study: int, numbers: Sequence[int]) -> list[tuple[Any, dict[str, Any]]]:
    """Return the rows of failed slots, locked, with their attributes; raise `UsageError` if one has not failed.

    A slot whose state another program has set counts as failed: its mark does not fit.
    """
    ours = _SLOTS.where(trials.c.study_id == study, trials.c.number.in_(numbers), IS_SLOT)
    rows: Sequence[Any] = connection.execute(ours.order_by(trials.c.trial_id).with_for_update(of=trials)).all()
    known: dict[int, dict[str, Any]] = {row.trial_id: {} for row in rows}
    query = sa.select(attrs.c.trial_id, attrs.c.key, attrs.c.value_json).where(attrs.c.trial_id.in_(known))
    for trial_id, key, text in connection.execute(query):
        known[trial_id][key] = json.loads(text)
    marked = connection.scalar(sa.select(study_attr(SLOTS, sa.literal(study)))) is not None
    failed = []
    for row in rows:
        own = known[row.trial_id]
        others = set_by_others(row.state, row.value, own.get(ENDED)) if marked else None
        if others is not None or row.state is TrialState.FAIL:
            failed.append((row, {"reason": others, **own}))
    if missing := sorted({*numbers} - {row.number for row, _ in failed}):
        raise UsageError(f"Trial {missing[0]} has not failed, or waits already: only failed trials can be retried.")
    return failed


def _keep_failures(connection: sa.Connection, failed: Sequence[tuple[Any, dict[str, Any]]], retry: int) -> None:
    """Add how each slot failed to its earlier failures; `retry` counts the retries of its study, from 1."""
    kept = []
    for row, own in failed:
        made = {"source": own["source"]} if "source" in own else {}
        ended = _utc(row.datetime_complete.replace(tzinfo=UTC)) if row.datetime_complete else None
        failure = {"reason": own["reason"], "epochs": row.epochs, "ended": ended, "retry": retry, **made}
        kept += rows_of({EARLIER_FAILURES: [*own.get(EARLIER_FAILURES, []), failure]}, trial_id=row.trial_id)
    upsert(connection, attrs, ("trial_id", "key"), kept)


def _retries_of(connection: sa.Connection, study: int) -> list[Any]:
    """Return the retries of a study that are recorded with it."""
    query = sa.select(study_attrs.c.value_json).where(study_attrs.c.study_id == study, study_attrs.c.key == RETRIED)
    found: list[Any] = json.loads(connection.scalar(query) or "[]")
    return found


def _utc(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
