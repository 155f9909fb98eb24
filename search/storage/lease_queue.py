"""The queue's moves: each is a part of one transaction, which `optuna_storage` opens, fences and repeats if it is cut.

On PostgreSQL rows are locked in one order, leases before trials and by rising ids, and what another holds is skipped
wherever it can be; so no two moves wait for each other.
"""

import json
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.storage.dialect import Now, Utc, upsert
from coarsefine.search.storage.parameters import parameter_rows, with_points
from coarsefine.search.storage.slots import Claim, Owner, Record, Slot, is_gone
from coarsefine.search.storage.tables import (
    FINITE_STEP,
    FINITE_VALUE,
    FREE,
    FREE_AMONG,
    HELD,
    HOLDERS,
    LEFT_BEHIND,
    REMEMBER,
    RENEW,
    STRAY,
    attrs,
    lease,
    params,
    rows_of,
    steps,
    trials,
    values,
)

Companions = Callable[[int], Sequence[int]]
"""Tells, of the first free slot's number, the numbers that go well with it: its own, and others."""
_MOST_DEATHS = 3
"""Attempts without neighbours that killed their worker, all in one epoch, before a slot FAILs."""
_MOST_ALONE = 5
"""The same, in whatever epochs, since the slot came farthest."""


def write_slots(connection: sa.Connection, study: int, space: Space, slots: Sequence[Slot]) -> None:
    """Write a stage's slots as WAITING trials."""
    waiting = [{"number": slot.number, "study_id": study, "state": TrialState.WAITING} for slot in slots]
    connection.execute(trials.insert(), waiting)
    written = connection.execute(sa.select(trials.c.number, trials.c.trial_id).where(trials.c.study_id == study))
    ids = {row.number: row.trial_id for row in written}
    # SQLite gives the ids of a deleted study out again, and Optuna, which deletes it, does not know of leases.
    connection.execute(lease.delete().where(lease.c.trial_id.between(min(ids.values()), max(ids.values()))))
    connection.execute(params.insert(), parameter_rows({ids[slot.number]: slot.point for slot in slots}, space))
    seeds = [row for slot in slots for row in rows_of({"seed": slot.seed}, trial_id=ids[slot.number])]
    connection.execute(attrs.insert(), seeds)
    if connection.dialect.name == "postgresql":  # plans claims by what it thinks is there, and would learn it late
        connection.exec_driver_sql(f"ANALYZE {trials.name}, {params.name}, {attrs.name}")


def take(
    connection: sa.Connection, study: int, n: int, companions: Companions | None, owner: Owner, seconds: float
) -> list[Claim]:
    """Lease up to n free slots to a worker, lowest numbers first; a slot that workers died with comes alone.

    They are what it trains next: what it holds beside them waits.
    """
    found = _free(connection, study, n, companions)
    if not found and _bring_back_strays(connection, study):
        found = _free(connection, study, n, companions)
    if not found:
        return []
    if found[0][0].alone:
        found = found[:1]
    train(connection, owner, [])
    ids = [row.trial_id for row, _ in found]
    running = {"state": TrialState.RUNNING, "datetime_start": Utc()}
    connection.execute(trials.update().where(trials.c.trial_id.in_(ids)).values(running))
    holder: dict[str, Any] = {"owner": owner.id, "host": owner.host, "machine": owner.machine, "pid": owner.pid}
    holder |= {"started": owner.started, "training": 1}
    leases = [{"trial_id": row.trial_id, "attempt": row.attempts + 1, **holder} for row, _ in found]
    replaced = ("owner", "attempt", "expires", "host", "machine", "pid", "started", "training")
    statement = upsert(connection.dialect.name, lease, ("trial_id",), replaced)
    connection.execute(statement.values(expires=Now() + seconds), leases)
    return [
        Claim(row.trial_id, row.attempts + 1, Slot(row.number, point, json.loads(row.value_json)), row.deaths)
        for row, point in found
    ]


def _free(
    connection: sa.Connection, study: int, n: int, companions: Companions | None
) -> list[tuple[sa.Row[Any], Point]]:
    if companions is None:
        return with_points(connection.execute(FREE, {"study": study, "n": n}))
    first = with_points(connection.execute(FREE, {"study": study, "n": 1}))
    if not first or first[0][0].alone:
        return first
    numbers = companions(first[0][0].number)  # this one, which is locked for us, among them
    return with_points(connection.execute(FREE_AMONG, {"study": study, "n": n, "numbers": list(numbers)}))


def _bring_back_strays(connection: sa.Connection, study: int) -> bool:
    """Let slots wait again that a `study.ask()` set RUNNING: nobody else would end them. Tell whether there are any."""
    seeming = connection.scalars(STRAY, {"study": study}).all()
    leased = set(connection.scalars(sa.select(lease.c.trial_id).where(lease.c.trial_id.in_(seeming))))
    strays = [trial_id for trial_id in seeming if trial_id not in leased]
    give_back(connection, strays)
    return bool(strays)


def held_by(connection: sa.Connection, owner: Owner) -> dict[int, int]:
    """Return the attempt of each lease a worker holds, by trial; others are kept from them while this lasts."""
    return {row.trial_id: row.attempt for row in connection.execute(HELD, {"me": owner.id})}


def renew(connection: sa.Connection, owner: Owner, seconds: float) -> None:
    """Let every lease of a worker last from now on."""
    connection.execute(RENEW, {"me": owner.id, "seconds": seconds})


def train(connection: sa.Connection, owner: Owner, ids: Sequence[int]) -> None:
    """Note which of its slots a worker trains now: should it die, these alone may have killed it."""
    chosen = sa.case((lease.c.trial_id.in_(ids), 1), else_=0)
    connection.execute(lease.update().where(lease.c.owner == owner.id).values(training=chosen))


def write(connection: sa.Connection, records: Sequence[Record]) -> None:
    """Write the records of a stack, each table in one statement; written twice, they are the same."""
    backend = connection.dialect.name
    epochs = [
        {"trial_id": r.claim.trial_id, "step": epoch, "intermediate_value": v, "intermediate_value_type": FINITE_STEP}
        for r in records
        for epoch, v in r.steps.items()
    ]
    if epochs:
        replaced = ("intermediate_value", "intermediate_value_type")
        connection.execute(upsert(backend, steps, ("trial_id", "step"), replaced), epochs)
    kept = [row for record in records for row in rows_of(record.attrs, trial_id=record.claim.trial_id)]
    if kept:
        connection.execute(upsert(backend, attrs, ("trial_id", "key"), ("value_json",)), kept)
    _end(connection, [record for record in records if record.state.is_finished()])


def _end(connection: sa.Connection, records: Sequence[Record]) -> None:
    scores = [
        {"trial_id": r.claim.trial_id, "objective": 0, "value": r.value, "value_type": FINITE_VALUE}
        for r in records
        if r.state is not TrialState.FAIL
    ]
    if scores:
        unique, replaced = ("trial_id", "objective"), ("value", "value_type")
        connection.execute(upsert(connection.dialect.name, values, unique, replaced), scores)
    for state in sorted({record.state for record in records}):
        end_trials(connection, [record.claim.trial_id for record in records if record.state is state], state)


def end_trials(connection: sa.Connection, ids: Sequence[int], state: TrialState) -> None:
    """End trials, and the leases on them."""
    ended = {"state": state, "datetime_complete": Utc()}
    connection.execute(trials.update().where(trials.c.trial_id.in_(ids)).values(ended))
    connection.execute(lease.delete().where(lease.c.trial_id.in_(ids)))


def give_back(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Let slots wait again, unrecorded; the number of their attempts stays, so that no old one can record."""
    if not ids:
        return
    _forget_epochs(connection, ids)
    waiting = {"state": TrialState.WAITING, "datetime_start": None}
    connection.execute(trials.update().where(trials.c.trial_id.in_(ids)).values(waiting))
    connection.execute(lease.update().where(lease.c.trial_id.in_(ids)).values(owner="", expires=0.0))


def _forget_epochs(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Remove what unfinished attempts recorded: the next repeats it to the bit, or has it from a checkpoint."""
    if ids:
        connection.execute(steps.delete().where(steps.c.trial_id.in_(ids)))
        connection.execute(attrs.delete().where(attrs.c.trial_id.in_(ids), attrs.c.key != "seed"))


def reap(connection: sa.Connection, me: Owner) -> None:
    """Take back what workers held that are gone, or let their leases run out; FAIL what has killed too many."""
    others = [row for row in connection.execute(HOLDERS) if row.owner != me.id]
    gone = [row.owner for row in others if is_gone(row.owner, row.machine, row.pid, row.started)]
    late = [row.owner for row in others if row.late]
    if not gone and not late:
        return
    left = connection.execute(LEFT_BEHIND, {"gone": gone, "late": late}).all()
    # Trials that somebody ended by other means, in a dashboard for one, have nothing to come back to.
    ended = [row.trial_id for row in left if row.state is not TrialState.RUNNING]
    connection.execute(lease.delete().where(lease.c.trial_id.in_(ended)))
    running = [row for row in left if row.state is TrialState.RUNNING]
    give_back(connection, [row.trial_id for row in running if not row.training])
    _mourn(connection, [row for row in running if row.training])


def _mourn(connection: sa.Connection, left: Sequence[sa.Row[Any]]) -> None:
    stories = {row.trial_id: [*json.loads(row.story), _death(row)] for row in left}
    guilty = {trial_id for trial_id, story in stories.items() if _is_guilty(story)}
    reasons = [row for i in sorted(guilty) for row in rows_of({"reason": _reason(stories[i])}, trial_id=i)]
    if reasons:
        statement = upsert(connection.dialect.name, attrs, ("trial_id", "key"), ("value_json",))
        connection.execute(statement, reasons)
        end_trials(connection, sorted(guilty), TrialState.FAIL)
    innocent = sorted(stories.keys() - guilty)
    give_back(connection, innocent)
    if innocent:
        kept = [{"id": i, "number": len(stories[i]), "told": json.dumps(stories[i])} for i in innocent]
        connection.execute(REMEMBER, kept)


def _death(row: sa.Row[Any]) -> dict[str, Any]:
    noticed = datetime.now(UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
    return {
        "host": row.host,
        "pid": row.pid,
        "noticed": noticed,
        "epoch": row.reached + 1,
        "alone": row.company == 1,
    }


def _is_guilty(story: Sequence[dict[str, Any]]) -> bool:
    """Tell whether a slot is to be blamed for the deaths of its workers.

    Only deaths count with which nothing else was in training. And since a slot trains to the same bits each time, one
    that kills its worker does it in the same epoch: a death in an epoch that another attempt came through was no fault
    of the slot. Some deaths keep to no epoch, such as those for want of memory: of those, more are needed, and all
    since the slot came farthest, for one that goes on from checkpoint to checkpoint gets to its end, however often its
    machine is taken.
    """
    furthest = max(death["epoch"] for death in story)
    since = next(place for place, death in enumerate(story) if death["epoch"] == furthest)
    alone = [death["epoch"] for death in story[since:] if death["alone"]]
    return alone.count(furthest) >= _MOST_DEATHS or len(alone) >= _MOST_ALONE


def _reason(story: Collection[dict[str, Any]]) -> str:
    told = "; ".join(f"{d['host']} process {d['pid']} in epoch {d['epoch']}, {d['noticed']} UTC" for d in story)
    return f"killed its worker {len(story)} times: {told}"
