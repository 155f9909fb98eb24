"""Dimensions: the possible values of one hyperparameter, drawn by mapping the unit interval to them. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

Value = float | int | str | bool
Axis = Literal["log", "linear"]
_DECADE = 10
_ROUNDING = 1e-9
"""Tolerance, in steps, for a bound that rounding moved across the border between two whole numbers."""


@dataclass(frozen=True, slots=True)
class _Bounded:
    """Two bounds, low < high."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float]) -> Self:
        """Return the smallest range that contains all values; its width may be zero."""
        return cls(min(values), max(values))

    @property
    def text(self) -> str:
        """Return the bounds for people."""
        return f"{self.low:.4g} to {self.high:.4g}"

    def contains(self, value: Value) -> bool:
        """Return whether a value lies in the range, bounds included."""
        return isinstance(value, float | int) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class LogUniform(_Bounded):
    """Positive bounds, low < high; all decades between them are equally likely."""

    kind: ClassVar[str] = "log-uniform"
    axis: ClassVar[Axis] = "log"

    @property
    def width(self) -> float:
        """Return the width in decades, log10(high/low)."""
        return math.log10(self.high / self.low)

    def at(self, share: float) -> float:
        """Return the value at a share (0 to 1) of the way from low to high, in log space, never outside."""
        value: float = self.low * (self.high / self.low) ** share
        return min(max(value, self.low), self.high)

    def near(self, one: Any, other: Any, within: float) -> bool:
        """Return whether two values are at most `within` decades apart."""
        return abs(math.log10(one / other)) <= within

    def with_width(self, width: float) -> Self:
        """Return a range with this width in decades and the same middle."""
        spare = 10 ** ((width - self.width) / 2)
        return type(self)(self.low / spare, self.high * spare)

    def least_width(self, width: float) -> float:
        """Return the width in decades that a rule's least width stands for: the same number."""
        return width

    def low_end(self, width: float) -> Self:
        """Return the part of this width that starts at the low bound."""
        return type(self)(self.low, min(self.low * 10**width, self.high))

    def high_end(self, width: float) -> Self:
        """Return the part of this width that ends at the high bound."""
        return type(self)(max(self.high / 10**width, self.low), self.high)

    def as_json(self) -> Any:
        """Return the form used in campaign files, JSON output and study attributes."""
        return [self.low, self.high]


@dataclass(frozen=True, slots=True)
class Uniform(_Bounded):
    """Bounds, low < high; all values between them are equally likely."""

    kind: ClassVar[str] = "uniform"
    axis: ClassVar[Axis] = "linear"

    @property
    def width(self) -> float:
        """Return the width, high − low."""
        return self.high - self.low

    def at(self, share: float) -> float:
        """Return the value at a share (0 to 1) of the way from low to high, never outside."""
        return min(max(self.low + share * self.width, self.low), self.high)

    def near(self, one: Any, other: Any, within: float) -> bool:
        """Return whether two values are at most a share `within` of this range's width apart."""
        return bool(abs(one - other) <= within * self.width)

    def with_width(self, width: float) -> Self:
        """Return a range with this width and the same middle."""
        spare = (width - self.width) / 2
        return type(self)(self.low - spare, self.high + spare)

    def least_width(self, width: float) -> float:
        """Return the width that a rule's least width stands for: that share of this range's width."""
        return width * self.width

    def low_end(self, width: float) -> Self:
        """Return the part of this width that starts at the low bound."""
        return type(self)(self.low, min(self.low + width, self.high))

    def high_end(self, width: float) -> Self:
        """Return the part of this width that ends at the high bound."""
        return type(self)(max(self.high - width, self.low), self.high)

    def as_json(self) -> Any:
        """Return the form used in campaign files, JSON output and study attributes."""
        return {"uniform": [self.low, self.high]}


Interval = LogUniform | Uniform
"""A range of real numbers."""


@dataclass(frozen=True, slots=True)
class Integer:
    """Whole numbers from low to high, both included, one step apart.

    All numbers are equally likely or, with `log`, all decades; then the step is 1. Each number stands for a cell, the
    real numbers that are rounded to it.
    """

    low: int
    high: int
    step: int = 1
    log: bool = False

    @classmethod
    def around(cls, values: Sequence[int], *, log: bool = False) -> Self:
        """Return the smallest range that contains all values."""
        return cls(min(values), max(values), log=log)

    @property
    def kind(self) -> str:
        """Return the kind of dimension, in words."""
        return "integer, log-uniform" if self.log else "integer"

    @property
    def axis(self) -> Axis:
        """Return the scale of an axis that shows it."""
        return "log" if self.log else "linear"

    @property
    def cells(self) -> Interval:
        """Return all cells as one range."""
        half = self.step / 2
        return (LogUniform if self.log else Uniform)(self.low - half, self.high + half)

    @property
    def text(self) -> str:
        """Return the bounds for people."""
        return f"{self.low} to {self.high}" + (f" by {self.step}" if self.step > 1 else "")

    def at(self, share: float) -> int:
        """Return the number whose cell contains the point at a share (0 to 1) of the way through all cells."""
        place = math.floor((self.cells.at(share) - self.low) / self.step + 0.5)
        return min(max(self.low + self.step * place, self.low), self.high)

    def contains(self, value: Value) -> bool:
        """Return whether a value is one of the numbers."""
        return isinstance(value, int) and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def near(self, one: Value, other: Value, within: float) -> bool:  # noqa: ARG002 - the signature of all dimensions
        """Return whether two values are the same."""
        return one == other

    def touching(self, cells: Interval) -> Self:
        """Return the numbers whose cells a range touches, continued with the same step beyond the present bounds."""
        first = math.floor((cells.low - self.low) / self.step + 0.5 + _ROUNDING)
        last = max(first, math.ceil((cells.high - self.low) / self.step - 0.5 - _ROUNDING))
        low, high = (self.low + self.step * place for place in (first, last))
        return type(self)(max(low, 1) if self.log else low, high, self.step, self.log)

    def as_json(self) -> Any:
        """Return the form used in campaign files, JSON output and study attributes."""
        return {"integer": [self.low, self.high]} | ({"log": True} if self.log else {"step": self.step})


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several different values, all equally likely."""

    options: tuple[Value, ...]

    kind: ClassVar[str] = "choice"

    @property
    def axis(self) -> Axis | None:
        """Return the scale of an axis that shows it: logarithmic over more than a decade; None for other options."""
        numbers = [option for option in self.options if type(option) in {int, float}]
        if len(numbers) < len(self.options):
            return None
        low, high = float(min(numbers)), float(max(numbers))
        return "log" if 0 < _DECADE * low < high else "linear"

    @classmethod
    def around(cls, values: Sequence[Value]) -> Self:
        """Return the choice among these values, in order of first appearance."""
        return cls(tuple(dict.fromkeys(values)))

    @property
    def text(self) -> str:
        """Return the options for people."""
        return f"one of {', '.join(map(str, self.options))}" if len(self.options) > 1 else f"{self.options[0]}"

    def at(self, share: float) -> Value:
        """Return the option at a share (0 to 1) of the way through all options."""
        return self.options[min(int(share * len(self.options)), len(self.options) - 1)]

    def contains(self, value: Value) -> bool:
        """Return whether a value is one of the options."""
        return value in self.options

    def near(self, one: Value, other: Value, within: float) -> bool:  # noqa: ARG002 - the signature of all dimensions
        """Return whether two values are the same."""
        return one == other

    def restricted_to(self, values: Sequence[Value]) -> Self:
        """Return the options that are among some values, in the order of the options."""
        return type(self)(tuple(option for option in self.options if option in values))

    def as_json(self) -> Any:
        """Return the form used in campaign files, JSON output and study attributes."""
        return {"choice": list(self.options)}


Dimension = LogUniform | Uniform | Integer | Choice


def from_json(form: Any) -> Dimension:
    """Read what `as_json` returned, without checking its numbers; raise `ValueError` for any other form."""
    match form:
        case [low, high]:
            return LogUniform(low, high)
        case {"uniform": [low, high], **rest} if not rest:
            return Uniform(low, high)
        case {"integer": [low, high], **rest} if rest.keys() <= {"step", "log"}:
            return Integer(low, high, form.get("step", 1), form.get("log", False))
        case {"choice": [*options], **rest} if not rest:
            return Choice(tuple(options))
    raise ValueError(f"{form!r} is no range")


def around(dimensions: Sequence[Dimension], values: Sequence[Any]) -> Dimension:
    """Return the smallest dimension that contains values drawn from several; a choice if these differ in kind."""
    first = dimensions[0]
    if any(type(dimension) is not type(first) for dimension in dimensions):
        return Choice.around(values)
    if isinstance(first, Integer):
        return Integer.around(values, log=first.log)
    return first.around(values)
