"""The owner of a lease: a process, and whether it still runs."""

import os
import socket
import uuid
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from coarsefine.model.process_identity import is_running, machine_id, start_time


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


def is_gone(holder: sa.Row[Any]) -> bool:
    """Return whether the process in the columns `HOLDER` is known to be gone; one on another machine never is."""
    return holder.owner in _left or (holder.machine == machine_id() and not is_running(holder.pid, holder.started))
