"""Judging what a function reports or returns: a finite number, or why it is none; with further metrics by name.

This runs in the trial process: a value may be any object, and asking it for its number may raise or end the process.
"""

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self

from coarsefine.search.training.user_code.failures import describe, shown

LARGEST = 1e150
"""The largest size of a value: with larger ones, means and variances would overflow."""
NAME_CHARACTERS = 64
"""The most characters of a metric's name that is a key."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A trial's value of one epoch."""

    value: float = 0.0
    """Ignored if there is a failure."""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """Further metrics; None for one that is not finite."""
    failure: str | None = None
    """Why the trial fails."""

    def as_dict(self) -> dict[str, Any]:
        """Return the form in a message."""
        return {"value": self.value, "metrics": self.metrics, "failure": self.failure}

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Self:
        """Read what `as_dict` returned."""
        return cls(**form)


def judge(given: Any, epoch: int, metric: str = "value", more: Mapping[str, Any] | None = None) -> Judged:
    """Return a value of one epoch: a number, or a dict of metrics; `more` are further metrics.

    The value of a dict is that of the key `metric`. If this is "value", the first key will do without it.
    """
    value, metrics = given, _named(more or {})
    if isinstance(given, Mapping):
        found = _named(given)
        own = next(iter(found), metric) if metric == "value" and metric not in found else metric
        if own not in found:
            return Judged(failure=f"its value of epoch {epoch} is {shown(given)}: it has no metric '{metric}'")
        value = found.pop(own)
        metrics = found | metrics
    number, problem = _number(value)
    if problem is not None:
        return Judged(failure=f"its value of epoch {epoch} is {problem}")
    if not abs(number) <= LARGEST:  # NaN, too
        return Judged(failure=f"diverged in epoch {epoch}: its value is {number}")
    further: dict[str, float | None] = {}
    for name, one in metrics.items():
        number_of_it, problem = _number(one)
        if problem is not None:
            return Judged(failure=f"its {name} of epoch {epoch} is {problem}")
        further[name] = number_of_it if math.isfinite(number_of_it) else None
    return Judged(number, further)


def _named(metrics: Mapping[Any, Any]) -> dict[str, Any]:
    """Return metrics by names that every file, page and terminal takes: not too long, and of printable characters."""
    return {
        "".join(letter if letter.isprintable() else "\ufffd" for letter in str(key)[:NAME_CHARACTERS]): one
        for key, one in metrics.items()
    }


def judge_batch(given: Any, trials: int, epoch: int, metric: str = "value") -> list[Judged] | str:
    """Return the values of a batch, one for each of so many trials in training; or why they are not that."""
    values: list[Any] | None = None
    if isinstance(given, Iterable) and not isinstance(given, Mapping | set | frozenset | str | bytes):
        try:
            values = list(islice(given, trials + 1))
        except Exception as error:  # noqa: BLE001 - whatever its iteration raises
            return f"its values of epoch {epoch} cannot be read: {describe(error)}"
    if values is None or len(values) != trials:
        return f"its values of epoch {epoch} are {shown(given)}, where {trials} trials are in"
    return [judge(value, epoch, metric) for value in values]


def _number(value: Any) -> tuple[float, str | None]:
    """Return a value as a number, or what is wrong with it."""
    try:
        if _is_masked(value):  # `item` would return 0.0
            return 0.0, "masked, no number"
        plain = value.item() if hasattr(value, "item") and not isinstance(value, str | bytes) else value  # of an array
        if isinstance(plain, str | bytes | bool):  # `float` would accept these
            return 0.0, f"{shown(value)}, no number"
        return float(plain), None
    except OverflowError:  # a whole number beyond the largest float
        return math.inf if plain > 0 else -math.inf, None
    except TypeError:
        return 0.0, f"{shown(value)}, no number"
    except BaseException as error:  # noqa: BLE001 - whatever its `__float__` raises
        return 0.0, f"{shown(value)}, no number: {describe(error)}"


def _is_masked(value: Any) -> bool:
    """Return whether a value is one of NumPy's masked arrays without a value, as the mean of masked values is."""
    masked = sys.modules.get("numpy.ma")
    return masked is not None and isinstance(value, masked.MaskedArray) and bool(masked.getmaskarray(value).any())
