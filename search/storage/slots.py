"""What passes between queue and worker: a slot, the claim on it, what was recorded, and who a worker is."""

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from optuna.trial import TrialState

from coarsefine.search.campaign.space import Point


@dataclass(frozen=True, slots=True)
class Slot:
    """A planned trial: its number in the stage, its point, and the seed of its initial weights."""

    number: int
    point: Point
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"number": self.number, "params": self.point.as_dict(), "seed": self.seed}


@dataclass(frozen=True, slots=True)
class Claim:
    """A slot under lease: the right to record it, until the lease runs out."""

    trial_id: int
    attempt: int
    slot: Slot
    deaths: int = 0
    """Workers that died with the slot, maybe because of it: what becomes of it must be recorded to the epoch."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a worker has to tell of a claimed slot."""

    claim: Claim
    steps: Mapping[int, float]
    """Validation accuracies of the epochs since the last record, by epoch."""
    value: float | None
    """The newest accuracy, of these or earlier epochs; the trial's value if it ends here."""
    attrs: Mapping[str, Any]
    """User attributes that hold the history so far."""
    state: TrialState
    """RUNNING, or how the trial ends: COMPLETE, PRUNED or FAIL."""


@dataclass(frozen=True, slots=True)
class FinishedTrial:
    """How a trial ended."""

    number: int
    point: Point
    state: TrialState
    """COMPLETE, PRUNED or FAIL."""
    value: float | None
    """Its validation accuracy: the last one of a pruned trial, none of one that failed."""
    epochs: int
    """How many it came through."""
    reason: str | None
    """Why it did not come to its last epoch."""

    @property
    def diverged(self) -> bool:
        """Tell whether it ended because its numbers left all bounds."""
        return self.state is TrialState.FAIL and "diverged" in (self.reason or "")


@cache
def _machine() -> str:
    """Return what tells apart the places where process numbers are counted: kernels since their start, containers.

    Host names do not: cloned machines share theirs, and a living worker would be taken for a dead one.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return f"{socket.gethostname()} {uuid.getnode():x}"


def _started(pid: int) -> float:
    """Return when a process started: on Linux in ticks since the kernel did, a clock that nobody can set.

    Times of day would make a living worker another one when the clock is set. Raises `psutil.NoSuchProcess`.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return float(fields[19])
    except OSError:  # gone, or not Linux
        return psutil.Process(pid).create_time()


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lease: a process, told apart from another that once had its number."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=socket.gethostname)
    machine: str = field(default_factory=_machine)
    pid: int = field(default_factory=os.getpid)
    started: float = field(default_factory=lambda: _started(os.getpid()))

    def leave(self) -> None:
        """Be gone, though the process goes on: its storage was closed, and it will never record again."""
        _left.add(self.id)


_left: set[str] = set()
"""Owners of this process that are gone."""


def is_gone(owner: str, machine: str, pid: int, started: float) -> bool:
    """Tell whether an owner of leases here is gone; of one on another machine this cannot be told."""
    if owner in _left:
        return True
    if machine != _machine():
        return False
    try:
        return abs(_started(pid) - started) >= 1 or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:  # someone else's process: it lives
        return False
