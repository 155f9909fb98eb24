"""What a `suggest` call of an Optuna objective allows, as a range of a campaign file and as text."""

import math
import re
import reprlib
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from coarsefine.search.campaign.dimension import (
    Choice,
    Dimension,
    Integer,
    Interval,
    LogUniform,
    Stepped,
    Uniform,
    Value,
    as_json,
)
from coarsefine.search.campaign.ranges import read_range

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""What makes the text of an object another one in each process."""
_TOLERANCE = 1e-8
"""Rounding error of a value, in steps."""


def call_text(name: str, distribution: BaseDistribution) -> str:
    """Return the call of a trial that has this distribution."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return f"suggest_categorical({name!r}, {reprlib.repr(list(choices))})"
        case IntDistribution(low=low, high=high, log=log, step=step):
            kind, stepped = "int", step != 1
        case FloatDistribution(low=low, high=high, log=log, step=step):
            kind, stepped = "float", step is not None
    options = f", step={step!r}" * stepped + ", log=True" * log
    return f"suggest_{kind}({name!r}, {low!r}, {high!r}{options})"


def dimension_of(distribution: BaseDistribution) -> Dimension:
    """Return the range of a campaign with the values that a distribution has.

    A range with one value is a choice. Raises `ValueError` for what no campaign can have.
    """
    match distribution:
        case CategoricalDistribution(choices=choices):
            found: Dimension = Choice(tuple(map(written_option, choices)))
        case FloatDistribution(low=low, high=high) | IntDistribution(low=low, high=high) if low == high:
            found = Choice((low,))
        case IntDistribution(low=low, high=high, log=log, step=step):
            found = Integer(low, high, step, log)
        case FloatDistribution(low=low, high=high, step=float(step)):
            found = Stepped(low, high, step)
        case FloatDistribution(low=low, high=high, log=log):
            found = (LogUniform if log else Uniform)(low, high)
    return read_range(as_json(found))


def written_option(option: Any) -> Value:
    """Return an option of a choice as a campaign file writes it.

    Numbers, texts and booleans are written as they are, and anything else, such as None or a class, as a text.

    Raises `ValueError` for an object whose text is another one in each process.
    """
    for kind in (bool, int, str):
        if isinstance(option, kind):
            return kind(option)
    if isinstance(option, float) and math.isfinite(option):
        return float(option)  # a number of NumPy is a float, too
    text = str(getattr(option, "__qualname__", None) or repr(option))
    if _ADDRESS.search(text):
        raise ValueError(f"its option {text} has no lasting name: let it choose among texts, and look the object up")
    return text


def chosen_option(choices: Sequence[Any], value: Value) -> Any:
    """Return the option that a campaign's value stands for; raise `ValueError` if there is none."""
    return choices[[written_option(option) for option in choices].index(value)]


def allows(distribution: BaseDistribution, value: Value) -> bool:
    """Return whether a `suggest` call may return a value of a campaign."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return value in map(written_option, choices)
        case IntDistribution(low=low, high=high, step=step) | FloatDistribution(low=low, high=high, step=step):
            if isinstance(value, str | bool) or not low <= value <= high:
                return False
            places = (value - low) / step if step else 0.0
            return abs(places - round(places)) < _TOLERANCE
    return False


def allows_all(distribution: BaseDistribution, dimension: Dimension) -> bool:
    """Return whether a `suggest` call may return every value of a campaign's range."""
    if isinstance(dimension, Choice):
        return all(allows(distribution, option) for option in dimension.options)
    step = getattr(distribution, "step", None)
    if isinstance(dimension, Interval):
        has_all = isinstance(distribution, FloatDistribution) and step is None
    else:
        steps = dimension.step / step if step else 1.0
        has_all = abs(steps - round(steps)) < _TOLERANCE
    return has_all and allows(distribution, dimension.low) and allows(distribution, dimension.high)


def middle(distribution: BaseDistribution) -> Any:
    """Return a value that a `suggest` call may return: the first option, or one in the middle of a range."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    return dimension_of(distribution).at(0.5)
