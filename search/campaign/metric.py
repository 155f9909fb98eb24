"""How to read the values of trials: a network's are accuracies, an objective's are numbers of its own."""

import math
from dataclasses import dataclass

from coarsefine.search.campaign.winner import Estimate

_MOST_DECIMALS = 6


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
        return f"{100 * value:.2f}" if self.is_share else f"{value:.5g}"

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
        return f"{mean:.{max(decimals, 0)}f} ± {half:.{max(decimals, 0)}f}"


ACCURACY = Metric("validation", is_share=True)
VALUE = Metric("value", is_share=False)
