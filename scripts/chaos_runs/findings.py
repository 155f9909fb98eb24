"""The results of an experiment: one line of the table, and its figures for the JSON."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chaos_runs.places import Databases


@dataclass(frozen=True, slots=True)
class Row:
    """One promise on one database."""

    what: str
    database: str
    n: str
    """Number of faults and runs."""
    seen: str
    promised: str
    broken: Sequence[str] = ()
    """Violations of the promise: which slot, which values."""
    met: bool | None = None
    """Whether a promised time or speed was reached; None if none is promised or judged."""
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Literal["kept", "broken", "missed", "not judged"]:
        """Return the verdict on the promise."""
        if self.broken:
            return "broken"
        if "timed" in self.figures and self.met is None:
            return "not judged"
        return "missed" if self.met is False else "kept"

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        fields = {key: getattr(self, key) for key in ("what", "database", "n", "seen", "promised", "verdict")}
        return {**fields, "broken": list(self.broken), **self.figures}


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of the experiments, and their seed."""

    seed: int
    quick: bool
    kill_runs: dict[str, int]
    """Number of runs that lose workers, by database."""
    timed_kills: int
    """Number of kills during long trials, to measure their cost."""
    timed_stacks: int
    """Number of stacks of such trials."""
    boundary_rounds: int
    """Rounds at each moment; 0: once, at every second moment of each database."""
    zombies: int
    disturbed: int
    """Number of runs on each database that are hung up, suspended and so on."""
    race_slots: int
    full_disks: int
    cuts: int
    cut_epochs: int
    speed_trials: int
    speed_rounds: int
    databases: Databases
    folder: Path
    """A temporary folder, removed after the run."""
    say: Callable[[str], None]

    def random(self, *key: int) -> np.random.Generator:
        """Return the random generator of one experiment, independent of the others."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def shown(values: Sequence[float], unit: str = "s") -> str:
    """Return the median and the maximum."""
    if not values:
        return "never measured"
    return f"median {statistics.median(values):.2f} {unit}, max {max(values):.2f} {unit}"
