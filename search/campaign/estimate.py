"""A mean of several values with its statistical error."""

import math
import sys
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from coarsefine.search.campaign.json_form import JsonForm

CONFIDENCE = 0.95
_ROUNDING_ERROR = 1e-12
"""The share of a value below which a difference of values is rounding error."""


@dataclass(frozen=True)
class Estimate(JsonForm):
    """A mean over seeds with its standard error and its 95 % interval (Student's t)."""

    mean: float
    error: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: npt.NDArray[np.float64]) -> Self:
        """Estimate the mean of at least two values."""
        from scipy.special import stdtrit  # noqa: PLC0415 - importing it takes 0.1 s, and few callers need it

        mean, n = float(values.mean()), len(values)
        error = float(values.std(ddof=1)) / math.sqrt(n)
        half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * error
        return cls(mean, error, mean - half, mean + half, n)

    def times(self, factor: float) -> Self:
        """Return the estimate for values `factor` times as large. What overflows is the largest float."""
        if factor == 1.0:
            return self
        mean, error, low, high = (finite(factor * x) for x in (self.mean, self.error, self.low, self.high))
        return type(self)(mean, error, low, high, self.n)


def without_rounding_error(difference: float, size: float) -> float:
    """Return a difference of values, or 0 if it is rounding error; `size` is one of the values."""
    return 0.0 if abs(difference) < _ROUNDING_ERROR * abs(size) else difference


def finite(value: float) -> float:
    """Return a value, or instead of an infinity the largest float of its sign."""
    return min(max(value, -sys.float_info.max), sys.float_info.max)
