"""Hyperparameters, points and spaces as text for people."""

from collections.abc import Iterable, Mapping, Sequence

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.dimension import Value
from coarsefine.search.campaign.network_settings import NAMES, setting
from coarsefine.search.campaign.space import Point, Space


def symbol(name: str) -> str:
    """Return the symbol of a hyperparameter; its name if it has none."""
    return setting(name).symbol if name in NAMES else name


def title(name: str) -> str:
    """Return the full name of a hyperparameter, as on an axis."""
    return setting(name).title if name in NAMES else name


def nouns(names: Iterable[str]) -> str:
    """Return the names of hyperparameters as part of a sentence."""
    return join_words([setting(name).noun if name in NAMES else name for name in names])


def join_words(parts: Sequence[str]) -> str:
    """Return a list as part of a sentence: `a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


def counted(number: int, noun: str) -> str:
    """Return a number of things: `1 epoch`, `3 epochs`."""
    return f"{number} {noun}{'s' * (number != 1)}"


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


def point_text(point: Mapping[str, Value]) -> str:
    """Return a point in one line."""
    return ", ".join(f"{symbol(name)} = {quantity(name, value)}" for name, value in point.items())


def point_columns(point: Point) -> str:
    """Return a point in one line, in columns that line up with those of other points."""
    return "  ".join(f"{symbol(name)} {quantity(name, value):<{_width(name, value)}}" for name, value in point.items())


def space_text(space: Space) -> str:
    """Return a space in one line."""
    return ", ".join(f"{symbol(name)} {dimension.text}" for name, dimension in space.items())


def space_kinds(space: Space) -> str:
    """Return the kind that all dimensions of a space have, or each kind with its dimensions."""
    names: dict[str, list[str]] = {}
    for name, dimension in space.items():
        names.setdefault(dimension.kind, []).append(symbol(name))
    if len(names) == 1:
        return next(iter(names))
    return ", ".join(f"{kind} {join_words(symbols)}" for kind, symbols in names.items())


def _width(name: str, value: Value) -> int:
    if not isinstance(value, float):
        return 5
    return 8 if _spans_decades(name) else 9


def _spans_decades(name: str) -> bool:
    return name in NAMES and setting(name).spans_decades
