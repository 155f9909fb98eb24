"""Hyperparameters, points and spaces as text for people.

The settings of the built-in network have symbols and titles. The parameters of a user's function have their own names,
even if a setting has the same one; the metric says which of both a campaign searches.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.dimension import Choice, Dimension, Value
from coarsefine.search.campaign.metric import ACCURACY, Metric
from coarsefine.search.campaign.network_settings import NAMES, setting
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.campaign.words import counted, join_words


def symbol(name: str, metric: Metric = ACCURACY) -> str:
    """Return the symbol of a hyperparameter; its name if it has none."""
    return setting(name).symbol if _is_setting(name, metric) else name


def title(name: str, metric: Metric = ACCURACY) -> str:
    """Return the full name of a hyperparameter, as on an axis."""
    return setting(name).title if _is_setting(name, metric) else name


def nouns(names: Iterable[str]) -> str:
    """Return the names of hyperparameters as part of a sentence."""
    return join_words([setting(name).noun if name in NAMES else name for name in names])


def epochs_each(campaign: Campaign, epochs: int) -> str:
    """Return `, 3 epochs each`, about the trials of a stage; nothing for a function that only returns a value."""
    return "" if not campaign.of_network and epochs == 1 else f", {counted(epochs, 'epoch')} each"


def quantity(name: str, value: Value) -> str:
    """Return the value of a hyperparameter as text."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2e}" if _spans_decades(name) else f"{value:.4g}"


def quantities(point: Point) -> list[str]:
    """Return the values of a point, as in the row of a table."""
    return [quantity(name, value) for name, value in point.items()]


def point_text(point: Mapping[str, Value], metric: Metric = ACCURACY) -> str:
    """Return a point in one line."""
    return ", ".join(f"{symbol(name, metric)} = {quantity(name, value)}" for name, value in point.items())


def point_columns(point: Point, metric: Metric = ACCURACY, space: Mapping[str, Dimension] | None = None) -> str:
    """Return a point in one line, in columns that line up with those of other points, if `space` has their choices."""
    dimensions = space or {}
    return "  ".join(
        f"{symbol(name, metric)} {quantity(name, value):<{_width(name, value, dimensions.get(name))}}"
        for name, value in point.items()
    )


def space_text(space: Space, metric: Metric = ACCURACY) -> str:
    """Return a space in one line."""
    return ", ".join(f"{symbol(name, metric)} {dimension.text}" for name, dimension in space.items())


def bounds_text(bounds: Iterable[str], metric: Metric = ACCURACY) -> str:
    """Return bounds such as `lambda low`, which narrowing records, as part of a sentence: `the lower bound of λ`."""
    sides = {"low": "lower", "high": "upper"}
    named = [bound.rpartition(" ") for bound in bounds]
    return join_words([f"the {sides[side]} bound of {symbol(name, metric)}" for name, _, side in named])


def space_kinds(space: Space, metric: Metric = ACCURACY) -> str:
    """Return the kind that all dimensions of a space have, or each kind with its dimensions."""
    names: dict[str, list[str]] = {}
    for name, dimension in space.items():
        names.setdefault(dimension.kind, []).append(symbol(name, metric))
    if len(names) == 1:
        return next(iter(names))
    return ", ".join(f"{kind} {join_words(symbols)}" for kind, symbols in names.items())


def _is_setting(name: str, metric: Metric) -> bool:
    return metric.is_share and name in NAMES


def _width(name: str, value: Value, dimension: Dimension | None) -> int:
    if isinstance(dimension, Choice):
        return max(len(quantity(name, option)) for option in dimension.options)
    if not isinstance(value, float):
        return 5
    return 8 if _spans_decades(name) else 9


def _spans_decades(name: str) -> bool:
    return name in NAMES and setting(name).spans_decades


def listed(numbers: Iterable[int]) -> str:
    """Return trial numbers as text: `trial 3`, `trials 0 to 4, 7`."""
    runs = [f"{first} to {last}" if first < last else f"{first}" for first, last in _runs(sorted(numbers))]
    one = len(runs) == 1 and " " not in runs[0]
    return f"{'trial' if one else 'trials'} {', '.join(runs)}"


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    starts = [i for i, number in enumerate(numbers) if i == 0 or number != numbers[i - 1] + 1]
    for start, end in zip(starts, [*starts[1:], len(numbers)], strict=True):
        yield numbers[start], numbers[end - 1]
