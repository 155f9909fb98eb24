"""Statistics of n values of ours, alone and next to a single reported value. Accuracies are fractions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from coarsefine.search.campaign.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Spread:
    """Values of independent seeds, at least two."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Collect the values in the order of the seeds."""
        return cls(tuple(map(float, values)))

    @property
    def estimate(self) -> Estimate:
        """Return their mean with its 95 % interval."""
        return Estimate.of(np.array(self.values))

    @property
    def mean(self) -> float:
        """Return their mean."""
        return self.estimate.mean

    @property
    def half(self) -> float:
        """Return half the width of the mean's 95 % interval."""
        return self.estimate.high - self.estimate.mean

    @property
    def further(self) -> tuple[float, float]:
        """Return the 95 % prediction interval of one further normal value: mean ± t·s·√(1 + 1/n)."""
        half = self.half * math.sqrt(len(self.values) + 1)
        return self.mean - half, self.mean + half

    def holds(self, value: float) -> bool:
        """Return whether a value lies in the prediction interval."""
        low, high = self.further
        return low <= value <= high

    def less(self, other: "Spread") -> "Spread":
        """Return the differences to other values, seed by seed."""
        return Spread(tuple(own - their for own, their in zip(self.values, other.values, strict=True)))

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        low, high = self.estimate.low, self.estimate.high
        return {"mean": self.mean, "low": low, "high": high, "n": len(self.values), "values": list(self.values)}


def percent(share: float) -> str:
    """Return a fraction in percent."""
    return f"{100 * share:.2f} %"


def mean_of(spread: Spread) -> str:
    """Return a mean of fractions with half its interval, in percent."""
    return f"{100 * spread.mean:.2f} ± {100 * spread.half:.2f} %"


def lowest_to_highest(spread: Spread) -> str:
    """Return the extremes of fractions, in percent."""
    return f"{100 * min(spread.values):.2f} to {100 * max(spread.values):.2f} %"


def gain(spread: Spread) -> str:
    """Return a mean difference of fractions with half its interval, in points."""
    return f"{100 * spread.mean:+.2f} ± {100 * spread.half:.2f}".replace("-", "−")


def compared(reported: float, ours: Spread, one: str) -> str:
    """Return the end of a sentence that compares a reported fraction with ours; `one` names one more value of ours."""
    low, high = ours.further
    where = f"95 of 100 such {one} would lie between {100 * low:.1f} and {100 * high:.1f} %"
    if ours.holds(reported):
        return f"{percent(reported)} is within our spread ({where})"
    apart = 100 * (ours.mean - reported)
    return f"ours is {'higher' if apart > 0 else 'lower'} by {abs(apart):.1f} points, more than our spread ({where})"
