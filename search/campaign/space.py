"""Spaces, one dimension for each searched hyperparameter, and their points. Pure functions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from coarsefine.search.campaign.dimension import Dimension, Interval, Value, as_json, from_json

_T = TypeVar("_T", bound=Value | Dimension)


@dataclass(frozen=True, slots=True, eq=False)
class _FrozenMapping(Mapping[str, _T]):
    """An immutable mapping that keeps its order; it is equal to any mapping with the same items."""

    pairs: tuple[tuple[str, _T], ...]

    @classmethod
    def of(cls, mapping: Mapping[str, _T]) -> Self:
        """Copy a mapping."""
        return cls(tuple(mapping.items()))

    def __getitem__(self, name: str) -> _T:
        return dict(self.pairs)[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __hash__(self) -> int:
        return hash(frozenset(self.pairs))


class NoSuchParameter(KeyError):  # noqa: N818 - named as what is wrong
    """A point was asked for a parameter that its space does not have."""

    def __str__(self) -> str:
        """Return the message, which `KeyError` would quote like a key."""
        return str(self.args[0])


class Point(_FrozenMapping[Value]):
    """A value for each searched hyperparameter, in the order of the space."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Value:
        """Return a value; raise `NoSuchParameter`, a `KeyError`, if there is none of that name."""
        if name not in (known := dict(self.pairs)):
            raise NoSuchParameter(
                f"the campaign has no parameter {name!r}, only {', '.join(known)}: add it to the space of the first "
                "stage, or correct the name in the objective"
            )
        return known[name]

    def as_dict(self) -> dict[str, Value]:
        """Return the form used in JSON output."""
        return dict(self.pairs)


class Space(_FrozenMapping[Dimension]):
    """The product of its dimensions."""

    __slots__ = ()

    def point(self, shares: Sequence[float]) -> Point:
        """Map a point of the unit cube into the space."""
        return Point(
            tuple((name, dimension.at(share)) for (name, dimension), share in zip(self.pairs, shares, strict=True))
        )

    def contains(self, point: Point) -> bool:
        """Return whether a point lies in the space."""
        ranges, values = dict(self.pairs), dict(point.pairs)  # tens of times as fast as by `self[name]`
        return ranges.keys() == values.keys() and all(ranges[name].contains(value) for name, value in values.items())

    def outside(self, points: Sequence[Mapping[str, Value]]) -> set[int]:
        """Return the places of the points that do not lie in the space; much faster than `contains` for each."""
        ranges = dict(self.pairs)
        found = {place for place, values in enumerate(points) if values.keys() != ranges.keys()}
        for name, dimension in self.pairs:
            contains = dimension.contains
            found |= {place for place, values in enumerate(points) if place not in found and not contains(values[name])}
        return found

    def near(self, one: Point, other: Point, within: float) -> bool:
        """Return whether two points are near each other: in every range of real numbers, and equal otherwise."""
        return all(
            of.near(one[name], other[name], within) if isinstance(of, Interval) else one[name] == other[name]
            for name, of in self.items()
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the form used in JSON output and study attributes."""
        return {name: as_json(dimension) for name, dimension in self.items()}

    @classmethod
    def from_dict(cls, forms: Mapping[str, Any]) -> Self:
        """Read what `as_dict` returned; raise `ValueError` for a form that is not a range."""
        return cls.of({name: from_json(form) for name, form in forms.items()})
