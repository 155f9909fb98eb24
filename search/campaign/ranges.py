"""Reading the ranges of a campaign file, and checking those of the network's settings."""

import math
from typing import Any

from coarsefine.search.campaign.dimension import (
    Choice,
    Dimension,
    Integer,
    Interval,
    Stepped,
    Uniform,
    decimal,
    from_json,
)
from coarsefine.search.campaign.network_settings import setting as network_setting

_FORMS = (
    "a range is two numbers, [low, high] (log-uniform), or { uniform = [low, high] }, "
    "{ integer = [low, high], step = 1 } or { choice = [...] }"
)
_LARGEST_INTEGER = 2**53
"""Up to this, whole numbers are exact in a database, which stores them as real numbers."""


def read_network_range(name: str, written: Any) -> Dimension:
    """Return the range that a campaign file gives for a network setting; raise `ValueError` if it is not one."""
    dimension, setting = read_range(written), network_setting(name)
    values = dimension.options if isinstance(dimension, Choice) else (dimension.low, dimension.high)
    if setting.kind is int and not all(type(value) is int for value in values):
        raise ValueError(
            f"{name} is a whole number: write {{ integer = [low, high], step = 1 }}, {{ integer = [low, high], "
            "log = true } or { choice = [...] } of whole numbers"
        )
    if setting.kind is float and (isinstance(dimension, Integer) or not all(type(v) in {int, float} for v in values)):
        raise ValueError(
            f"{name} is a real number: write [low, high], {{ uniform = [low, high] }} or {{ choice = [...] }}"
        )
    outside = [value for value in values if not setting.allows(value)]  # type: ignore[arg-type]
    if outside:
        raise ValueError(f"{name} = {outside[0]} makes no sense: it must be {setting.allowed}")
    return dimension


def read_network_value(name: str, written: Any) -> Any:
    """Return the value that a campaign file gives for another package's setting; raise `ValueError` if it is none."""
    setting = network_setting(name)
    if type(written) not in {int, setting.kind} or not setting.allows(written):
        kind = "a whole number" if setting.kind is int else "a number"
        raise ValueError(f"must be {kind}, {setting.allowed}")
    return setting.kind(written)


def read_range(written: Any) -> Dimension:
    """Return the dimension that a campaign file writes as a range; raise `ValueError` if it is not one."""
    if isinstance(written, Dimension):
        return written
    try:
        dimension = from_json(written)
    except (TypeError, ValueError):
        raise ValueError(_FORMS) from None
    if isinstance(dimension, Choice):
        return _choice(dimension)
    if isinstance(dimension, Integer):
        return _integer(dimension)
    return _stepped(dimension) if isinstance(dimension, Stepped) else _interval(dimension)


def _interval(written: Interval) -> Interval:
    if not all(type(bound) in {int, float} for bound in (written.low, written.high)):
        raise ValueError(_FORMS)
    try:
        low, high = float(written.low), float(written.high)
    except OverflowError:  # a whole number of hundreds of digits
        low = high = math.inf
    if written.log and not (0 < low < math.inf and 0 < high < math.inf):  # NaN fails every comparison
        raise ValueError("both bounds must be finite and above 0, because the range is log-uniform")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("both bounds must be finite")
    if low >= high:
        raise ValueError("low must be below high")
    if not math.isfinite(high / low if written.log else high - low):
        raise ValueError("high is more than 10^308 times low, or more than 10^308 above it")
    return type(written)(low, high)


def _stepped(written: Stepped) -> Stepped:
    range_, step = _interval(Uniform(written.low, written.high)), written.step
    if type(step) not in {int, float} or not 0 < step < math.inf:
        raise ValueError(f"step = {step!r} must be a number above 0")
    if (decimal(range_.high) - decimal(range_.low)) % decimal(float(step)):
        raise ValueError(f"a whole number of steps of {step!r} must lead from {range_.low} to {range_.high}")
    return Stepped(range_.low, range_.high, float(step))


def _integer(written: Integer) -> Integer:
    low, high, step = written.low, written.high, written.step
    if not all(type(number) is int for number in (low, high, step)) or type(written.log) is not bool:
        raise ValueError("integer = [low, high] and step are whole numbers, log is true or false")
    if not -_LARGEST_INTEGER <= low < high <= _LARGEST_INTEGER:
        raise ValueError("low must be below high, both at most 2^53")
    if step < 1 or (high - low) % step:
        raise ValueError(
            f"step = {step} must be 1 or above, and a whole number of steps must lead from {low} to {high}"
        )
    if written.log and (low < 1 or step > 1):
        raise ValueError("with log = true, low must be 1 or above, and there is no step")
    return written


def _choice(written: Choice) -> Choice:
    options = written.options
    if not options or not all(type(option) in {int, float, str, bool} for option in options):
        raise ValueError("a choice has at least one option, each a number, a text, true or false")
    if not all(math.isfinite(option) for option in options if isinstance(option, float)):
        raise ValueError("numbers of a choice must be finite")
    repeated = [option for place, option in enumerate(options) if option in options[:place]]
    if repeated:
        raise ValueError(f"{repeated[0]!r} is in the choice twice: remove one")
    return written
