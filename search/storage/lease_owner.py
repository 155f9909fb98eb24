"""The owner of a lease: a process, whether it still runs, and whether others may take what it holds."""

import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from coarsefine.model.process_identity import is_running, is_stopped, machine_id, start_time
from coarsefine.search.storage.dialect import Now
from coarsefine.search.storage.tables import HOLDER, lease


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that holds leases, distinguished from a later process with the same number."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=socket.gethostname)
    machine: str = field(default_factory=machine_id)
    pid: int = field(default_factory=os.getpid)
    started: float = field(default_factory=lambda: start_time(os.getpid()))

    @property
    def name(self) -> str:
        """Return the host and the number of the process, as trials store it."""
        return f"{self.host}:{self.pid}"

    def columns(self) -> dict[str, Any]:
        """Return the owner as columns of the lease table."""
        return {
            "owner": self.id, "host": self.host, "machine": self.machine, "pid": self.pid, "started": self.started,
        }  # fmt: skip

    def leave(self) -> None:
        """Count as gone though the process still runs: its storage is closed, so it records nothing more."""
        _left.add(self.id)


_left: set[str] = set()
"""Owners of this process that have closed their storage."""


def lives_here(holder: sa.Row[Any]) -> bool:
    """Return whether the process in the columns `HOLDER` runs on this machine."""
    return holder.machine == machine_id() and is_running(holder.pid, holder.started)


def is_gone(holder: sa.Row[Any]) -> bool:
    """Return whether the process in the columns `HOLDER` is known to be gone; one on another machine never is."""
    return holder.owner in _left or (holder.machine == machine_id() and not is_running(holder.pid, holder.started))


def holders_query(held: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Select the owners of leases that meet a condition: how many each holds, and whether all have expired."""
    return (
        sa.select(*HOLDER, lease.c.host, sa.func.count().label("leases"))
        .add_columns((sa.func.max(lease.c.expires) < Now()).label("late"))
        .where(held, lease.c.owner > "")  # which an index finds, unlike !=
        .group_by(*HOLDER, lease.c.host)
    )


def holds(holder: sa.Row[Any]) -> bool:
    """Return whether an owner that `holders_query` found still holds its leases.

    A process that runs on this machine does, even if they have expired: the computer may have slept.
    """
    return not is_gone(holder) and (not holder.late or lives_here(holder))


@dataclass(slots=True)
class Expiry:
    """Decides whether an owner whose lease has expired may be taken for gone.

    The wall clock of a computer jumps when it wakes up or its time is set, and then every lease seems to have expired.
    So a process that runs on this machine keeps its lease until this process has watched it for a whole lease, by a
    clock that nobody sets, without seeing it renewed. Of processes on other machines only the lease is known. They get
    the time to renew it when this process has seen the database's clock jump.
    """

    clock: Callable[[], float] = time.monotonic
    _watched: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    """For each expired owner: until when its lease lasted, how long it was watched, and when it was last looked at."""
    _offset: float | None = None
    """The database's clock minus ours when they were last compared."""
    _trusted_from: float = 0.0

    def counts(self, holder: sa.Row[Any], lease_seconds: float) -> bool:
        """Return whether an expired owner counts as gone. It has the columns `HOLDER`, `expires`, `late` and `now`."""
        self._compare(holder.now, lease_seconds)
        if not holder.late:
            self._watched.pop(holder.owner, None)
            return False
        if not lives_here(holder):
            return self.clock() >= self._trusted_from
        return is_stopped(holder.pid) or self._watch(holder, lease_seconds)

    def _compare(self, now: float, lease_seconds: float) -> None:
        """Compare the database's clock with ours, and trust no expiry of half a lease after it has jumped ahead."""
        offset = now - self.clock()
        if self._offset is not None and offset > self._offset + max(lease_seconds, 0.0) / 10:
            self._trusted_from = self.clock() + lease_seconds / 2
        self._offset = offset

    def _watch(self, holder: sa.Row[Any], lease_seconds: float) -> bool:
        """Return whether a process has been watched for a whole lease without renewing its own."""
        now = self.clock()
        expires, watched, before = self._watched.get(holder.owner, (holder.expires, 0.0, now))
        # A long time between two looks may be one in which the whole computer slept.
        watched = watched + min(now - before, lease_seconds / 4) if expires == holder.expires else 0.0
        self._watched[holder.owner] = (holder.expires, watched, now)
        return watched >= lease_seconds
