"""Alternating rounds, A B C A B C …, so that a slower machine affects all contenders; medians with their spread."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Self, TypeVar

from benchmarks.processes import ContenderError, Group

Answers = list[dict[str, Any]]
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of n measurements, and the lowest and highest of them."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Self:
        """Summarize the measurements."""
        return cls(median(samples), min(samples), max(samples), len(samples))

    def as_dict(self) -> dict[str, float]:
        """Return the JSON form."""
        return {"median": self.median, "min": self.low, "max": self.high, "n": self.n}

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.low:{spec}}–{self.high:{spec}})"


def in_turn(groups: Mapping[K, Group], repetitions: int) -> tuple[dict[K, list[Answers]], dict[K, str]]:
    """Run `n` alternating rounds of all groups; return their answers, and the reason for each group that failed."""
    answers: dict[K, list[Answers]] = {name: [] for name in groups}
    failed: dict[K, str] = {}
    for _ in range(repetitions):
        for name, group in groups.items():
            if name in failed:
                continue
            try:
                answers[name].append(group.ask("round"))
            except ContenderError as error:
                failed[name] = str(error)
                del answers[name]
    return answers, failed


def seconds_per_unit(rounds: Sequence[Answers]) -> Spread:
    """Return the seconds of one core for one epoch of one trial; with several cores, their mean."""
    return Spread.of([fmean(answer["seconds"] / answer["units"] for answer in answers) for answers in rounds])


def ratio(theirs: Sequence[Answers], ours: Sequence[Answers]) -> Spread:
    """Return how many times faster Coarsefine is, round by round: neighbouring rounds share the same conditions."""
    pairs = zip(theirs, ours, strict=True)
    return Spread.of([_seconds(their) / _seconds(our) for their, our in pairs])


def best_peak(rounds: Sequence[Answers]) -> tuple[str, Spread]:
    """Return the library whose products are fastest, and its GF/s."""
    spreads = {name: Spread.of([answers[0][name] for answers in rounds]) for name in rounds[0][0]}
    best = max(spreads, key=lambda name: spreads[name].median)
    return best, spreads[best]


def _seconds(answers: Answers) -> float:
    return fmean(answer["seconds"] / answer["units"] for answer in answers)


Say = Callable[[str], None]
"""Print progress messages."""
