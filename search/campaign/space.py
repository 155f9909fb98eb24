"""Spaces: what a stage draws from, by the names of the hyperparameters, and points drawn from it. Pure functions."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt

from coarsefine.search.campaign.dimension import Dimension, Value, from_json

Sampler = Literal["random", "sobol"]
_T = TypeVar("_T", bound=Value | Dimension)


@dataclass(frozen=True, slots=True, eq=False)
class _Named(Mapping[str, _T]):
    """A mapping that nobody can change, in the order it was made; equal to any other of the same content."""

    pairs: tuple[tuple[str, _T], ...]

    @classmethod
    def of(cls, named: Mapping[str, _T]) -> Self:
        """Return what a mapping holds."""
        return cls(tuple(named.items()))

    def __getitem__(self, name: str) -> _T:
        for known, found in self.pairs:
            if known == name:
                return found
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __hash__(self) -> int:
        return hash(frozenset(self.pairs))


class Point(_Named[Value]):
    """One setting of the searched hyperparameters, in the order of the space."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Value]:
        """Return the form of the JSON output."""
        return dict(self.pairs)


class Space(_Named[Dimension]):
    """The product of its dimensions."""

    __slots__ = ()

    def point(self, shares: Sequence[float]) -> Point:
        """Map a point of the unit cube into the space."""
        return Point(tuple((name, of.at(share)) for (name, of), share in zip(self.pairs, shares, strict=True)))

    def contains(self, point: Point) -> bool:
        """Tell whether a point lies in the space."""
        return point.keys() == self.keys() and all(self[name].contains(value) for name, value in point.items())

    def near(self, one: Point, other: Point, within: float) -> bool:
        """Tell whether two points are nearly the same: in decades, in shares of a linear range, else the very same."""
        return all(dimension.near(one[name], other[name], within) for name, dimension in self.items())

    def as_dict(self) -> dict[str, Any]:
        """Return the form of the JSON output and of the study's attributes."""
        return {name: dimension.as_json() for name, dimension in self.items()}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """Read what `as_dict` wrote."""
        return cls.of({name: from_json(form) for name, form in told.items()})


def draw(space: Space, sampler: Sampler, n: int, seed: np.random.SeedSequence) -> list[Point]:
    """Draw n points; the first k are the same for every n ≥ k."""
    rng = np.random.default_rng(seed)
    unit = rng.random((n, len(space))) if sampler == "random" else _sobol(n, len(space), rng)
    return [space.point(shares) for shares in unit.tolist()]


def _sobol(n: int, d: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    from scipy.stats import qmc  # noqa: PLC0415 - a second to import, needed by few

    # A Sobol sequence is balanced over powers of two: the first n of the next power.
    return qmc.Sobol(d=d, scramble=True, rng=rng).random_base2(math.ceil(math.log2(n)) if n > 1 else 0)[:n]
