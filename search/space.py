"""Spaces: the ranges of η and λ that a stage draws from, log-uniform. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

Sampler = Literal["random", "sobol"]


@dataclass(frozen=True, slots=True)
class Range:
    """Positive bounds of a log-uniform range, low < high."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float]) -> Self:
        """Return the least range that holds all values; its width may be zero."""
        return cls(min(values), max(values))

    @property
    def decades(self) -> float:
        """Return the width, log10(high/low)."""
        return math.log10(self.high / self.low)

    def at(self, share: float) -> float:
        """Return the point at a share (0 to 1) of the way from low to high, in log space, never outside."""
        value: float = self.low * (self.high / self.low) ** share
        return min(max(value, self.low), self.high)

    def holds(self, value: float) -> bool:
        """Tell whether a value lies in the range, bounds included."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of the searched hyperparameters."""

    eta: float
    lam: float


@dataclass(frozen=True, slots=True)
class Space:
    """The product of the two ranges."""

    eta: Range
    lam: Range

    def point(self, eta_share: float, lam_share: float) -> Point:
        """Map a point of the unit square into the space."""
        return Point(self.eta.at(eta_share), self.lam.at(lam_share))

    def holds(self, point: Point) -> bool:
        """Tell whether a point lies in the space."""
        return self.eta.holds(point.eta) and self.lam.holds(point.lam)

    def as_dict(self) -> dict[str, list[float]]:
        """Return the form of the JSON output and of the study's attributes."""
        return {"eta": [self.eta.low, self.eta.high], "lambda": [self.lam.low, self.lam.high]}

    @classmethod
    def from_dict(cls, ranges: dict[str, list[float]]) -> Self:
        """Read what `as_dict` wrote."""
        return cls(Range(*ranges["eta"]), Range(*ranges["lambda"]))


def draw(space: Space, sampler: Sampler, n: int, seed: np.random.SeedSequence) -> list[Point]:
    """Draw n points; the first k are the same for every n ≥ k."""
    rng = np.random.default_rng(seed)
    unit = rng.random((n, 2)) if sampler == "random" else _sobol(n, rng)
    return [space.point(*shares) for shares in unit.tolist()]


def _sobol(n: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    from scipy.stats import qmc  # noqa: PLC0415 - a second to import, needed by few

    # A Sobol sequence is balanced over powers of two: the first n of the next power.
    return qmc.Sobol(d=2, scramble=True, rng=rng).random_base2(math.ceil(math.log2(n)) if n > 1 else 0)[:n]
