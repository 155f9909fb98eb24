"""What happens to the slots of dead workers: they wait again, and one that keeps killing its workers FAILs."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from coarsefine.search.storage.dialect import Now, upsert
from coarsefine.search.storage.lease_owner import Expiry, Owner, is_gone, lives_here
from coarsefine.search.storage.study_writer import fail_trials, return_slots
from coarsefine.search.storage.tables import HOLDER, IS_SLOT, attrs, lease, rows_of, steps, trials

_DEATHS_IN_ONE_EPOCH = 3
"""Workers that a slot trained alone may kill in one epoch before it FAILs."""
_DEATHS_ALONE = 5
"""Workers that a slot trained alone may kill in any epochs, since it came furthest, before it FAILs."""

_HOLDERS = (
    sa.select(*HOLDER)
    .add_columns(sa.func.max(lease.c.expires).label("expires"), Now().label("now"))
    .add_columns((sa.func.max(lease.c.expires) < Now()).label("late"))
    .where(lease.c.owner > "")  # which an index finds, unlike !=
    .group_by(*HOLDER)
)
"""The owners of leases, until when the last lease of each lasts, and whether it has expired."""


@cache
def _leases() -> sa.Select[Any]:
    """Select leases, with the number of slots in the same stack and the last recorded epochs."""
    others = lease.alias()
    same_stack = (others.c.owner == lease.c.owner) & (others.c.training == 1)
    company = sa.select(sa.func.count()).where(same_stack).scalar_subquery()
    reached = sa.func.coalesce(
        sa.select(sa.func.max(steps.c.step)).where(steps.c.trial_id == lease.c.trial_id).scalar_subquery(), 0
    )
    return (
        sa.select(lease, trials.c.state, IS_SLOT.label("is_slot"), company.label("company"), reached.label("reached"))
        .join(trials, trials.c.trial_id == lease.c.trial_id)
        .order_by(lease.c.trial_id)
    )


@cache
def _left_behind() -> sa.Select[Any]:
    """Select the leases of workers that are gone or count as gone.

    Locked rows are skipped: a late worker that is renewing its lease right now keeps it.
    """
    gone = lease.c.owner.in_(sa.bindparam("gone", expanding=True))
    late = lease.c.owner.in_(sa.bindparam("late", expanding=True)) & (lease.c.expires < Now())
    return _leases().where(gone | late).with_for_update(of=lease, skip_locked=True)


def take_back_slots(connection: sa.Connection, me: Owner, expiry: Expiry, lease_seconds: float) -> None:
    """Let the slots of dead workers and expired leases wait again; FAIL the slots that killed too many workers.

    `expiry` decides which expired leases count. A process that still runs on this machine has not died, so that none
    of its slots is to blame. A trial that somebody ended by other means, for example in a dashboard, stays ended and
    loses its lease. So does a trial of another program: SQLite gives it the id that a slot of a deleted study had.
    """
    holders = [row for row in connection.execute(_HOLDERS) if row.owner != me.id]
    gone = [row.owner for row in holders if is_gone(row)]
    late = [row.owner for row in holders if row.owner not in gone and expiry.counts(row, lease_seconds)]
    if not gone and not late:
        return
    left = connection.execute(_left_behind(), {"gone": gone, "late": late}).all()
    held = [row for row in left if row.is_slot and not row.state.is_finished()]
    others = sorted({row.trial_id for row in left} - {row.trial_id for row in held})
    connection.execute(lease.delete().where(lease.c.trial_id.in_(others)))
    living = {row.owner for row in holders if row.owner in {*gone, *late} and lives_here(row)}
    blamed = [row for row in held if row.training and row.owner not in living]
    return_slots(connection, [row.trial_id for row in held if not row.training or row.owner in living])
    _count_deaths(connection, blamed)


def withdraw_deaths(connection: sa.Connection, ids: Sequence[int], me: Owner) -> None:
    """Take back the deaths of a worker that was taken for dead, since its lease had expired, and lives."""
    taken = sa.select(lease.c.trial_id, lease.c.story).where(lease.c.trial_id.in_(ids)).order_by(lease.c.trial_id)
    for row in connection.execute(taken.with_for_update(skip_locked=True)).all():
        history = [death for death in json.loads(row.story) if death.get("owner") != me.id]
        _set_deaths(connection, row.trial_id, history)


def count_kills(connection: sa.Connection, ids: Sequence[int], cause: str) -> list[int]:
    """Count a death for slots of a living worker, which holds their locked leases; return the ids of those that FAIL.

    Their processes were killed, or their training raised what it should not.
    """
    killed = connection.execute(_leases().where(lease.c.trial_id.in_(ids))).all()
    return _count_deaths(connection, killed, {"cause": cause})


def _count_deaths(
    connection: sa.Connection, left: Sequence[sa.Row[Any]], more: Mapping[str, str] | None = None
) -> list[int]:
    """Add a death to the history of each slot that was in training; FAIL the guilty slots, let the others wait.

    Returns the ids of the guilty.
    """
    deaths = {row.trial_id: [*json.loads(row.story), {**_death(row), **(more or {})}] for row in left}
    guilty = sorted(trial_id for trial_id, history in deaths.items() if _is_guilty(history))
    reasons = [row for i in guilty for row in rows_of({"reason": _reason(deaths[i])}, trial_id=i)]
    upsert(connection, attrs, ("trial_id", "key"), reasons)
    fail_trials(connection, guilty)
    innocent = sorted(deaths.keys() - guilty)
    return_slots(connection, innocent)
    for i in innocent:  # its lease has no owner now
        _set_deaths(connection, i, deaths[i])
    return guilty


def _set_deaths(connection: sa.Connection, trial_id: int, deaths: Sequence[Mapping[str, Any]]) -> None:
    history = {"deaths": len(deaths), "story": json.dumps(deaths)}
    connection.execute(lease.update().where(lease.c.trial_id == trial_id).values(history))


def _death(row: sa.Row[Any]) -> dict[str, Any]:
    noticed = datetime.now(UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
    alone, epoch = row.company == 1, row.reached + 1
    who = {"host": row.host, "pid": row.pid, "owner": row.owner}
    return {**who, "noticed": noticed, "epoch": epoch, "alone": alone}


def _is_guilty(deaths: Sequence[dict[str, Any]]) -> bool:
    """Return whether a slot is to blame for the deaths of its workers.

    Only deaths while the slot was trained alone count. A slot trains to the same bits each time, so a slot that kills
    its worker does so in the same epoch; if another attempt came through that epoch, the slot was not at fault. Deaths
    from lack of memory, for example, come in any epoch. More of them are needed, all since the slot came furthest: a
    slot that continues from checkpoint to checkpoint reaches its end, however often its machine is taken away.
    """
    furthest = max(death["epoch"] for death in deaths)
    since = next(place for place, death in enumerate(deaths) if death["epoch"] == furthest)
    alone = [death["epoch"] for death in deaths[since:] if death["alone"]]
    return alone.count(furthest) >= _DEATHS_IN_ONE_EPOCH or len(alone) >= _DEATHS_ALONE


def _reason(deaths: Sequence[dict[str, Any]]) -> str:
    places = "; ".join(f"{d['host']} process {d['pid']} in epoch {d['epoch']}, {d['noticed']} UTC" for d in deaths)
    cause = next((death["cause"] for death in reversed(deaths) if "cause" in death), None)
    if cause is not None:
        return f"{cause}, {len(deaths)} times: {places}"
    return f"killed its worker {len(deaths)} times: {places}"
