"""The results of a section of the benchmark: figures for the JSON and rows for the table."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.measure import Say, Spread


@dataclass(frozen=True, slots=True)
class Target:
    """The bound that a figure should reach."""

    limit: float
    kind: Literal["at least", "at most"]

    def met(self, value: float) -> bool:
        """Return whether a figure reaches the bound."""
        return value >= self.limit if self.kind == "at least" else value <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    value: Spread | None
    """None if there is no value; `note` then gives the reason."""
    unit: str
    ratio: Spread | None = None
    """How many times faster Coarsefine is; only in the rows of other contenders."""
    target: Target | None = None
    """The target of the ratio if there is one, else of the value."""
    note: str = ""

    @property
    def judged(self) -> Spread | None:
        """Return the figure that the target applies to."""
        return self.ratio or self.value

    @property
    def verdict(self) -> Literal["met", "missed", "not measured"] | None:
        """Return whether the target is met, in words."""
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
    """All results of one section."""

    name: str
    title: str
    rows: list[Row]
    data: dict[str, Any] = field(default_factory=dict)
    """Other content for the JSON: samples, ways tried, conditions."""
    errors: list[str] = field(default_factory=list)
    """Problems that invalidate the comparison."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure, and on which data."""

    folder: Path
    """A temporary folder, removed after the run."""
    source: Path
    """CIFAR-10, or synthetic images in the same format."""
    synthetic: bool
    cores: list[int]
    kernels: tuple[str, ...]
    """The kernels to measure, by instruction set: the one that trains here, then slower ones that are forced."""
    before: Path | None
    """A checkout of an earlier version, to compare a stage of digits with."""
    images: int
    repetitions: int
    stage_trials: int
    stage_epochs: int
    digits_trials: int
    digits_epochs: int
    digits_rounds: int
    """Epochs of a round on the digits: a single one is too short to time."""
    widths: tuple[int, ...]
    """Numbers of trials that are trained at once."""
    profiled: tuple[int, ...]
    """Those of them whose epochs are profiled."""
    dying_epochs: int
    """Epochs of a training whose hidden units die; their weights are denormal numbers from the ninth on."""
    whole_paper: bool
    """Whether to run the whole preset `paper` instead of a short campaign of its shape."""
    peer_epochs: int
    """Epochs of one trial of Optuna with PyTorch."""
    tune: bool
    """Whether to find each contender's fastest way instead of using its first."""
    peak_size: int
    growth_images: tuple[int, ...]
    growth_hidden: tuple[int, ...]
    growth_trials: tuple[int, ...]
    say: Say

    @property
    def core(self) -> int:
        """Return the core for single processes: the last, since the first handles the system's interrupts."""
        return self.cores[-1]


Section = Callable[[Plan], Finding]
