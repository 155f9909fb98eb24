"""How people read hyperparameters: their symbols, their names in full, their values."""

from collections.abc import Iterable, Mapping, Sequence

from coarsefine.search.campaign.dimension import Value
from coarsefine.search.campaign.space import Point, Space

_SYMBOLS = {"eta": "η", "lambda": "λ", "rho": "ρ"}
_SMALL = {"lambda"}
"""What goes through so many decades that a column of its values is read by their powers."""
_NOUNS = {
    "eta": "the learning rate η",
    "lambda": "the L2 weight λ",
    "rho": "the momentum ρ",
    "decay": "the decay of η",
    "hidden": "the number of hidden units",
    "batch": "the size of the mini-batches",
}
_TITLES = {
    "eta": "η, learning rate",
    "lambda": "λ, L2 weight",
    "rho": "ρ, momentum",
    "decay": "decay of η, each epoch",
    "hidden": "hidden units",
    "batch": "batch, images of a step",
}


def symbol(name: str) -> str:
    """Return the symbol of a hyperparameter, or its name where it has none."""
    return _SYMBOLS.get(name, name)


def title(name: str) -> str:
    """Return the name of a hyperparameter in full, as at an axis."""
    return _TITLES.get(name, name)


def listed(parts: Sequence[str]) -> str:
    """Return parts of a sentence in a row: `a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


def nouns(names: Iterable[str]) -> str:
    """Return the names of hyperparameters as in a sentence."""
    return listed([_NOUNS.get(name, name) for name in names])


def quantity(name: str, value: Value) -> str:
    """Return a value of a hyperparameter, as in a column of them."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2e}" if name in _SMALL else f"{value:.4g}"


def quantities(point: Point) -> list[str]:
    """Return the values of a point, as in a row of a table."""
    return [quantity(name, value) for name, value in point.items()]


def setting(point: Mapping[str, Value]) -> str:
    """Return a point in a line."""
    return ", ".join(f"{symbol(name)} = {quantity(name, value)}" for name, value in point.items())


def in_columns(point: Point) -> str:
    """Return a point in a line, in columns that stand below those of others."""
    return "  ".join(f"{symbol(name)} {quantity(name, value):<{_wide(name, value)}}" for name, value in point.items())


def _wide(name: str, value: Value) -> int:
    if not isinstance(value, float):
        return 5
    return 8 if name in _SMALL else 9


def ranges(space: Space) -> str:
    """Return a space in a line."""
    return ", ".join(f"{symbol(name)} {dimension.words}" for name, dimension in space.items())


def kinds(space: Space) -> str:
    """Return the kinds of a space's dimensions: one where all are of it, else what is of each."""
    names: dict[str, list[str]] = {}
    for name, dimension in space.items():
        names.setdefault(dimension.kind, []).append(symbol(name))
    if len(names) == 1:
        return next(iter(names))
    return ", ".join(f"{kind} {listed(of)}" for kind, of in names.items())
