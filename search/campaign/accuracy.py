"""The statistical error of a measured accuracy. Pure functions."""

import math
from dataclasses import dataclass
from statistics import NormalDist

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The share of n images that are classified correctly."""

    share: float
    n: int

    @property
    def standard_error(self) -> float:
        """Return √(p(1 − p)/n), the error from the choice of images alone."""
        return math.sqrt(self.share * (1 - self.share) / self.n)

    @property
    def interval(self) -> tuple[float, float]:
        """Return Wilson's 95 % confidence interval, which is valid near 0 and 1 too."""
        p, n, z2 = self.share, self.n, _Z * _Z
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return max(0.0, middle - half), min(1.0, middle + half)


def expected_highest(n: int) -> float:
    """Return the expected highest of n standard normal values, by Blom's approximation (1958)."""
    return NormalDist().inv_cdf((n - 0.375) / (n + 0.25))
