"""Ranges as a campaign file writes them, and which of the network's settings may be searched in which."""

import math
from typing import Any, NamedTuple

from coarsefine.search.campaign.dimension import (
    Choice,
    Dimension,
    Integer,
    LogUniform,
    Uniform,
    from_json,
)

_FORMS = (
    "a range is two numbers, [low, high] (log-uniform), or { uniform = [low, high] }, "
    "{ integer = [low, high], step = 1 } or { choice = [...] }"
)
_MOST = 2**53
"""Whole numbers up to this are exact in a database, which keeps them as real numbers."""


class _Limit(NamedTuple):
    """What values of a setting make sense."""

    words: str
    least: float
    most: float
    whole: bool = False


_ABOVE_0, _BELOW_1 = math.nextafter(0, 1), math.nextafter(1, 0)
_LIMITS = {
    "eta": _Limit("above 0", _ABOVE_0, math.inf),
    "lambda": _Limit("0 or above", 0, math.inf),
    "rho": _Limit("0 or above, and below 1", 0, _BELOW_1),
    "decay": _Limit("above 0, and at most 1", _ABOVE_0, 1),
    "hidden": _Limit("1 to 100000", 1, 100_000, whole=True),
    "batch": _Limit("1 or above", 1, math.inf, whole=True),
}
SETTINGS = tuple(_LIMITS)
"""The network's settings that can be searched, by their names in a campaign file and of a point."""
ENDED = frozenset(SETTINGS) - {"eta", "lambda"}
"""Those that a stage does not widen beyond the bounds the user set: they make no sense everywhere, or cost time."""


def read_setting(name: str, written: Any) -> Dimension:
    """Return what a campaign file gives for one of the network's settings; raise `ValueError` with what is wrong."""
    dimension, limit = read_range(written), _LIMITS[name]
    values = dimension.options if isinstance(dimension, Choice) else (dimension.low, dimension.high)
    if limit.whole and not all(type(value) is int for value in values):
        raise ValueError(
            f"{name} is a whole number: write {{ integer = [low, high], step = 1 }}, {{ integer = [low, high], "
            "log = true } or { choice = [...] } of whole numbers"
        )
    if not limit.whole and (isinstance(dimension, Integer) or not all(type(v) in {int, float} for v in values)):
        raise ValueError(
            f"{name} is a real number: write [low, high], {{ uniform = [low, high] }} or {{ choice = [...] }}"
        )
    outside = [value for value in values if not limit.least <= value <= limit.most]  # type: ignore[operator]
    if outside:
        raise ValueError(f"{name} = {outside[0]} makes no sense: it must be {limit.words}")
    return dimension


def read_range(written: Any) -> Dimension:
    """Return a dimension as a campaign file writes it; raise `ValueError` with what is wrong."""
    if isinstance(written, LogUniform | Uniform | Integer | Choice):
        return written
    try:
        dimension = from_json(written)
    except (TypeError, ValueError):
        raise ValueError(_FORMS) from None
    if isinstance(dimension, Choice):
        return _choice(dimension)
    if isinstance(dimension, Integer):
        return _integer(dimension)
    return _interval(dimension)


def _interval(found: LogUniform | Uniform) -> LogUniform | Uniform:
    if not all(type(bound) in {int, float} for bound in (found.low, found.high)):
        raise ValueError(_FORMS)
    dimension = type(found)(_float(found.low), _float(found.high))
    low, high = dimension.low, dimension.high
    if isinstance(dimension, LogUniform):
        if not (0 < low < math.inf and 0 < high < math.inf):  # NaN fails every comparison
            raise ValueError("both bounds must be finite and above 0, since the range is log-uniform")
    elif not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("both bounds must be finite")
    if low >= high:
        raise ValueError("low must be below high")
    if not math.isfinite(high / low if isinstance(dimension, LogUniform) else high - low):
        raise ValueError("high is more than 10^308 times low, or above it")
    return dimension


def _integer(found: Integer) -> Integer:
    if not all(type(number) is int for number in (found.low, found.high, found.step)) or type(found.log) is not bool:
        raise ValueError("integer = [low, high] and step are whole numbers, log is true or false")
    low, high, step = found.low, found.high, found.step
    if not -_MOST <= low < high <= _MOST:
        raise ValueError("low must be below high, both at most 2^53")
    if step < 1 or (high - low) % step:
        raise ValueError(f"step = {step} must be 1 or above, and lead from {low} to {high}")
    if found.log and (low < 1 or step > 1):
        raise ValueError("with log = true, low must be 1 or above, and there is no step")
    return found


def _choice(found: Choice) -> Choice:
    options = found.options
    if not options or not all(type(option) in {int, float, str, bool} for option in options):
        raise ValueError("a choice has at least one option, each a number, a text, true or false")
    if not all(math.isfinite(option) for option in options if isinstance(option, float)):
        raise ValueError("numbers of a choice must be finite")
    twice = [option for place, option in enumerate(options) if option in options[:place]]
    if twice:
        raise ValueError(f"{twice[0]!r} is in the choice twice: remove one")
    return found


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf
