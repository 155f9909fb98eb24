"""How to read the values of trials: a network's are accuracies with a statistical error, an objective's are numbers."""

import math
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist
from typing import Annotated, Self

from pydantic import Field

from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.estimate import Estimate, without_rounding_error
from coarsefine.search.campaign.json_form import JsonForm

_WITHOUT_POWER = range(-4, 7)
"""Exponents of numbers that are written without a power of ten."""
_MOST_DIGITS = 9
_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Metric(JsonForm):
    """The name of a campaign's values, which of them are better, and how they are written."""

    name: Annotated[str, Field(description="as the heading of a column")]
    title: Annotated[str, Field(description="the full name, as on an axis")]
    is_share: Annotated[bool, Field(description="whether values are fractions, which people read in percent")]
    direction: Direction = Direction.MAXIMIZE

    @classmethod
    def of_function(cls, name: str | None, direction: Direction) -> Self:
        """Return the metric of user code, by its name if it has one."""
        return cls(name or VALUE.name, name or VALUE.title, is_share=False, direction=direction)

    def text(self, value: float) -> str:
        """Return a value with its unit."""
        return f"{self.number(value)} %" if self.is_share else self.number(value)

    def text_or_nothing(self, value: float | None) -> str:
        """Return a value with its unit, or an empty text for none."""
        return "" if value is None else self.text(value)

    def number(self, value: float) -> str:
        """Return a value without its unit."""
        return f"{100 * value:z.2f}" if self.is_share else f"{value:z.5g}"

    def difference(self, value: float, size: float = 0.0) -> str:
        """Return a difference of values with its unit; `size` is one of the two."""
        value = without_rounding_error(value, size)
        return f"{self.number(value)} points" if self.is_share else f"{value:.2g}"

    def spread(self, estimate: Estimate, size: float | None = None) -> str:
        """Return a mean ± half the width of its interval; of a difference, `size` is one of the two values."""
        return " ± ".join(self.mean_and_half(estimate, size))

    def mean_and_half(self, estimate: Estimate, size: float | None = None) -> tuple[str, str]:
        """Return a mean and half the width of its interval without their unit.

        If they are no shares, the latter is rounded to two significant digits, and the mean to the same place; not if
        this takes more than nine digits. An interval that is rounding error is 0; a difference then has two digits.
        """
        largest_value = max(abs(estimate.mean), abs(size or 0.0))
        mean, half = without_rounding_error(estimate.mean, largest_value), estimate.high - estimate.mean
        half = without_rounding_error(half, largest_value)
        if self.is_share or not 0 < half < math.inf:
            has_two_digits = size is not None and not self.is_share
            return f"{mean:z.2g}" if has_two_digits else self.number(mean), self.number(half)
        place = _exponent(half) - 1
        largest = max(_exponent(abs(mean) or half), place + 1)
        if largest - place >= _MOST_DIGITS:
            return self.number(mean), f"{half:.2g}"
        power = 0 if largest in _WITHOUT_POWER else largest
        return _rounded(mean, place, power), _rounded(half, place, power)


def _exponent(value: float) -> int:
    """Return the exponent of ten of a value with two significant digits."""
    return int(f"{value:.1e}".partition("e")[2])


def _rounded(value: float, place: int, power: int) -> str:
    """Return a value rounded to 10 to the `place`, as a multiple of 10 to the `power`."""
    try:
        rounded = round(value, -place)
    except OverflowError:  # near the largest float
        rounded = value
    digits = f"{Decimal(rounded).scaleb(-power):z.{max(power - place, 0)}f}"
    return f"{digits}e{power:+03}" if power else digits


ACCURACY = Metric("validation", "validation accuracy", is_share=True)
VALUE = Metric("value", "value", is_share=False)


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
