"""What a section of the benchmark hands back: figures for the JSON, rows for the table."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.measure import Say, Spread


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is to reach."""

    limit: float
    kind: Literal["at least", "at most"]

    def met(self, value: float) -> bool:
        """Tell whether it does."""
        return value >= self.limit if self.kind == "at least" else value <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    value: Spread | None
    """None where there is nothing to show, and `note` says why."""
    unit: str
    ratio: Spread | None = None
    """How many times faster Coarsefine is, where the row is somebody else's."""
    target: Target | None = None
    """Of the ratio where there is one, else of the value."""
    note: str = ""

    @property
    def judged(self) -> Spread | None:
        """Return the figure that the target is about."""
        return self.ratio or self.value

    @property
    def verdict(self) -> Literal["met", "missed", "not measured"] | None:
        """Return how the figure stands to its target."""
        if self.target is None:
            return None
        if self.judged is None:
            return "not measured"
        return "met" if self.target.met(self.judged.median) else "missed"

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "what": self.what,
            "value": self.value.as_dict() if self.value else None,
            "unit": self.unit,
            "times_faster": self.ratio.as_dict() if self.ratio else None,
            "target": {"kind": self.target.kind, "limit": self.target.limit} if self.target else None,
            "verdict": self.verdict,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """All that a section found."""

    name: str
    title: str
    rows: list[Row]
    data: dict[str, Any] = field(default_factory=dict)
    """Whatever else belongs into the JSON: samples, ways tried, conditions."""
    errors: list[str] = field(default_factory=list)
    """What makes the comparison worthless, to be said loudly."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure, and on what."""

    folder: Path
    """Temporary; gone after the run."""
    source: Path
    """CIFAR-10, or made-up images in its form."""
    synthetic: bool
    cores: list[int]
    images: int
    repetitions: int
    stage_trials: int
    stage_epochs: int
    digits_trials: int
    digits_epochs: int
    whole_paper: bool
    """Run the preset `paper` to its end, else a short campaign of its shape."""
    peer_epochs: int
    """Epochs in a trial of Optuna with PyTorch."""
    tune: bool
    """Look for everybody's best way, else take the first."""
    peak_size: int
    growth_images: tuple[int, ...]
    growth_hidden: tuple[int, ...]
    growth_trials: tuple[int, ...]
    say: Say

    @property
    def core(self) -> int:
        """Return the one for single processes: the last, since the first serves the system's interrupts."""
        return self.cores[-1]


Section = Callable[[Plan], Finding]
