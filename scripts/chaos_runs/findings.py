"""What an experiment hands back: one line of the table, and for the JSON what it saw."""

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
    """Of how many faults, in how many runs."""
    seen: str
    promised: str
    broken: Sequence[str] = ()
    """What was seen that should not be: which slot, which values."""
    met: bool | None = None
    """Of a promised time or speed: whether it was reached; None where nothing of the kind is promised or judged."""
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Literal["kept", "broken", "missed", "not judged"]:
        """Return how the promise stands."""
        if self.broken:
            return "broken"
        if "timed" in self.figures and self.met is None:
            return "not judged"
        return "missed" if self.met is False else "kept"

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        told = {key: getattr(self, key) for key in ("what", "database", "n", "seen", "promised", "verdict")}
        return {**told, "broken": list(self.broken), **self.figures}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to do, from which seed."""

    seed: int
    quick: bool
    kill_runs: dict[str, int]
    """How many runs lose workers, by database."""
    timed_kills: int
    """Of workers amid long trials, to see what a kill costs."""
    timed_stacks: int
    """How many stacks of such trials there are."""
    boundary_rounds: int
    """At each moment; 0: once, but at every second moment of each database."""
    zombies: int
    race_slots: int
    full_disks: int
    cuts: int
    cut_epochs: int
    speed_trials: int
    speed_rounds: int
    databases: Databases
    folder: Path
    """Temporary; gone after the run."""
    say: Callable[[str], None]

    def random(self, *key: int) -> np.random.Generator:
        """Return the randomness of one experiment, whatever the others draw."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def shown(values: Sequence[float], unit: str = "s") -> str:
    """Return median and largest."""
    if not values:
        return "never measured"
    return f"median {statistics.median(values):.2f} {unit}, max {max(values):.2f} {unit}"
