"""Dimensions: the possible values of one hyperparameter, drawn by mapping the unit interval to them. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self

Value = float | int | str | bool
Axis = Literal["log", "linear"]
_NUMBER = (float, int)
"""What `isinstance` recognises thrice as fast as the union of both."""
_ROUNDING = 1e-9
"""Tolerance, in steps, for a bound that rounding moved across the border between two numbers."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A range of real numbers, low < high. Widths are decades if it is log-uniform, and differences otherwise."""

    low: float
    high: float

    log: ClassVar[bool]
    kind: ClassVar[str]

    @property
    def axis(self) -> Axis:
        """Return the scale of an axis that shows it."""
        return "log" if self.log else "linear"

    @property
    def text(self) -> str:
        """Return the bounds for people."""
        return f"{self.low:.4g} to {self.high:.4g}" if self.low < self.high else f"{self.low:.4g}"

    @property
    def width(self) -> float:
        """Return the width; it is zero if the bounds are those of one value."""
        return self._distance(self.high, self.low)

    def at(self, share: float) -> float:
        """Return the value at a share (0 to 1) of the way from low to high, never outside."""
        value: float = self.low * (self.high / self.low) ** share if self.log else self.low + share * self.width
        return min(max(value, self.low), self.high)

    def contains(self, value: Value) -> bool:
        """Return whether a value lies in the range, bounds included."""
        return isinstance(value, _NUMBER) and self.low <= value <= self.high

    def near(self, one: Any, other: Any, within: float) -> bool:
        """Return whether two values are at most `within` apart: decades, or a share of this range's width."""
        return abs(self._distance(one, other)) <= self.least_width(within)

    def least_width(self, width: float) -> float:
        """Return the width that a rule's least width stands for: the same decades, or that share of this range."""
        return width if self.log else width * self.width

    def with_width(self, width: float) -> Self:
        """Return a range with this width and the same middle."""
        spare = (width - self.width) / 2
        return type(self)(self._below(self.low, spare), self._above(self.high, spare))

    def low_end(self, width: float) -> Self:
        """Return the part of this width that starts at the low bound."""
        return type(self)(self.low, min(self._above(self.low, width), self.high))

    def high_end(self, width: float) -> Self:
        """Return the part of this width that ends at the high bound."""
        return type(self)(max(self._below(self.high, width), self.low), self.high)

    def _distance(self, one: float, other: float) -> float:
        return math.log10(one / other) if self.log else one - other

    def _above(self, value: float, width: float) -> float:
        return float(value * 10**width) if self.log else value + width

    def _below(self, value: float, width: float) -> float:
        return float(value / 10**width) if self.log else value - width


class LogUniform(Interval):
    """Positive bounds; all decades between them are equally likely."""

    __slots__ = ()
    log = True
    kind = "log-uniform"


class Uniform(Interval):
    """All values between the bounds are equally likely."""

    __slots__ = ()
    log = False
    kind = "uniform"


class Grid:
    """Numbers from low to high, both included, one step apart.

    All numbers are equally likely or, with `log`, all decades; then the step is 1. Each number stands for a cell, the
    real numbers that are rounded to it.
    """

    __slots__ = ()
    low: Any
    high: Any
    step: Any
    log: Any

    @property
    def axis(self) -> Axis:
        """Return the scale of an axis that shows it."""
        return "log" if self.log else "linear"

    @property
    def cells(self) -> Interval:
        """Return all cells as one range."""
        half = self.step / 2
        return (LogUniform if self.log else Uniform)(self.low - half, self.high + half)

    def at(self, share: float) -> Any:
        """Return the number whose cell contains the point at a share (0 to 1) of the way through all cells."""
        place = math.floor((self.cells.at(share) - self.low) / self.step + 0.5)
        return min(max(self._number(place), self.low), self.high)

    def box(self, values: Sequence[Any]) -> Interval:
        """Return the cells of some of the numbers, and of those between them, as one range."""
        return self._with_bounds(min(values), max(values)).cells

    def touching(self, cells: Interval) -> Self:
        """Return the numbers whose cells a range touches, continued with the same step beyond the present bounds."""
        first = math.floor((cells.low - self.low) / self.step + 0.5 + _ROUNDING)
        last = max(first, math.ceil((cells.high - self.low) / self.step - 0.5 - _ROUNDING))
        low, high = self._number(first), self._number(last)
        return self._with_bounds(max(low, 1) if self.log else low, high)

    def _number(self, place: int) -> Any:
        """Return the number that is so many steps above low."""
        return self.low + self.step * place

    def _with_bounds(self, low: Any, high: Any) -> Self:
        return replace(self, low=low, high=high)  # type: ignore[type-var]  # subclasses are dataclasses


@dataclass(frozen=True, slots=True)
class Integer(Grid):
    """Whole numbers, one step apart; with `log`, log-uniform."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    @property
    def kind(self) -> str:
        """Return the kind of dimension, in words."""
        return "integer, log-uniform" if self.log else "integer"

    @property
    def text(self) -> str:
        """Return the bounds for people."""
        if self.low == self.high:  # the winner's, when it is trained again
            return f"{self.low}"
        return f"{self.low} to {self.high}" + (f" by {self.step}" if self.step > 1 else "")

    def contains(self, value: Value) -> bool:
        """Return whether a value is one of the numbers."""
        return isinstance(value, int) and self.low <= value <= self.high and (value - self.low) % self.step == 0


@dataclass(frozen=True, slots=True)
class Stepped(Grid):
    """Real numbers, one step apart."""

    low: float
    high: float
    step: float

    kind: ClassVar[str] = "uniform, by steps"

    @property
    def log(self) -> bool:
        """Return False: all numbers are equally likely."""
        return False

    @property
    def text(self) -> str:
        """Return the bounds for people."""
        return f"{self.low:.4g} to {self.high:.4g} by {self.step:.4g}" if self.low < self.high else f"{self.low:.4g}"

    def contains(self, value: Value) -> bool:
        """Return whether a value is one of the numbers."""
        if not isinstance(value, float | int) or not self.low <= value <= self.high:
            return False
        place = (value - self.low) / self.step
        return abs(place - round(place)) < _ROUNDING

    def _number(self, place: int) -> float:
        return float(decimal(self.low) + place * decimal(self.step))  # in which 3 · 0.1 is 0.3


def decimal(value: float) -> Decimal:
    """Return the shortest decimal number that Python reads as a value."""
    return Decimal(repr(value))


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
        return "log" if 0 < 10 * low < high else "linear"

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


Dimension = Interval | Integer | Stepped | Choice


def as_json(dimension: Dimension) -> Any:
    """Return the form used in campaign files, JSON output and study attributes."""
    match dimension:
        case LogUniform(low, high):
            return [low, high]
        case Interval(low, high):
            return {"uniform": [low, high]}
        case Stepped(low, high, step):
            return {"uniform": [low, high], "step": step}
        case Integer(low, high, step, log):
            return {"integer": [low, high]} | ({"log": True} if log else {"step": step})
        case Choice(options):
            return {"choice": list(options)}


def from_json(form: Any) -> Dimension:
    """Read what `as_json` returned, without checking its numbers; raise `ValueError` for any other form."""
    match form:
        case [low, high]:
            return LogUniform(low, high)
        case {"uniform": [low, high], **rest} if not rest:
            return Uniform(low, high)
        case {"uniform": [low, high], "step": step, **rest} if not rest:
            return Stepped(low, high, step)
        case {"integer": [low, high], **rest} if rest.keys() <= {"step", "log"}:
            return Integer(low, high, form.get("step", 1), form.get("log", False))
        case {"choice": [*options], **rest} if not rest:
            return Choice(tuple(options))
    raise ValueError(f"{form!r} is not a range")


def around(dimensions: Sequence[Dimension], values: Sequence[Any]) -> Dimension:
    """Return the smallest dimension that contains values drawn from several; a choice if these differ in kind."""
    first = dimensions[0]
    if isinstance(first, Choice) or any(type(dimension) is not type(first) for dimension in dimensions):
        return Choice(tuple(dict.fromkeys(values)))
    low, high = min(values), max(values)
    if isinstance(first, Integer):
        return Integer(low, high, log=first.log)
    return Uniform(low, high) if isinstance(first, Stepped) else type(first)(low, high)
