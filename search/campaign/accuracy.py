"""How far a measured share can be trusted. Pure functions."""

import math
from dataclasses import dataclass
from statistics import NormalDist

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A share of n images classified rightly."""

    share: float
    n: int

    @property
    def standard_error(self) -> float:
        """Return √(p(1 − p)/n): of the images alone, as if other images of the same kind had been drawn."""
        return math.sqrt(self.share * (1 - self.share) / self.n)

    @property
    def interval(self) -> tuple[float, float]:
        """Return Wilson's interval that covers the true share in 95 % of cases; it holds near 0 and 1 too."""
        p, n, z2 = self.share, self.n, _Z * _Z
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return max(0.0, middle - half), min(1.0, middle + half)


def expected_highest(n: int) -> float:
    """Return about how many standard deviations the highest of n normal values lies above their mean (Blom, 1958)."""
    return NormalDist().inv_cdf((n - 0.375) / (n + 0.25))
