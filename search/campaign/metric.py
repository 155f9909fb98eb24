"""How to read the values of trials: a network's are accuracies with a statistical error, an objective's are numbers."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from coarsefine.search.campaign.winner import Estimate

_MOST_DECIMALS = 6
_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Metric:
    """The name of a campaign's values, and how they are written."""

    name: str
    """One word, as the heading of a column."""
    is_share: bool
    """Whether values are fractions, written in percent."""

    def text(self, value: float) -> str:
        """Return a value with its unit."""
        return f"{self.number(value)} %" if self.is_share else self.number(value)

    def number(self, value: float) -> str:
        """Return a value without its unit."""
        return f"{100 * value:z.2f}" if self.is_share else f"{value:z.5g}"

    def difference(self, value: float) -> str:
        """Return a difference of values with its unit."""
        return f"{self.number(value)} points" if self.is_share else f"{value:.2g}"

    def spread(self, estimate: Estimate) -> str:
        """Return a mean ± half the width of its interval, the latter with two significant digits."""
        half = estimate.high - estimate.mean
        if self.is_share:
            return f"{self.number(estimate.mean)} ± {self.number(half)}"
        if not half:
            return f"{self.number(estimate.mean)} ± 0"
        decimals = 1 - math.floor(math.log10(half))
        if decimals > _MOST_DECIMALS:
            return f"{estimate.mean:.4g} ± {half:.2g}"
        mean, half = round(estimate.mean, decimals), round(half, decimals)
        return f"{mean:z.{max(decimals, 0)}f} ± {half:.{max(decimals, 0)}f}"


ACCURACY = Metric("validation", is_share=True)
VALUE = Metric("value", is_share=False)


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
