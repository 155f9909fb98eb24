"""Which of two values is the better one: the only place that compares the values of trials.

Values are stored and shown as they are returned, never negated.
"""

from collections.abc import Iterable
from enum import StrEnum
from itertools import accumulate
from typing import Literal

DirectionName = Literal["maximize", "minimize"]


class Direction(StrEnum):
    """Whether a campaign looks for the highest value or for the lowest one."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"

    @property
    def sign(self) -> Literal[1, -1]:
        """Return the factor that turns a value, or an array of values, so that the higher is the better."""
        return 1 if self is Direction.MAXIMIZE else -1

    @property
    def best_word(self) -> Literal["highest", "lowest"]:
        """Return which of many values is the best one, in a word."""
        return "highest" if self is Direction.MAXIMIZE else "lowest"

    def key(self, value: float) -> float:
        """Return the key by which values are sorted, the best one first."""
        return -self.sign * value

    def better(self, value: float, other: float) -> bool:
        """Return whether a value is better than another one."""
        return self.key(value) < self.key(other)

    def best(self, values: Iterable[float]) -> float:
        """Return the best of at least one value."""
        return min(values, key=self.key)

    def running_best(self, values: Iterable[float]) -> list[float]:
        """Return for each value the best one up to it."""
        return list(accumulate(values, max if self is Direction.MAXIMIZE else min))
