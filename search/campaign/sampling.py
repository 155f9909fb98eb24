"""Sampling: drawing the points of a stage from its space.

A sampler is a function that fills the unit cube. It is one of Coarsefine's own or comes from another package, which
registers it as an entry point of the group `coarsefine.samplers`; `docs/extending/samplers.md` shows how.
"""

import inspect
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from coarsefine.model.extensions import Group, call, described, load
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.errors import CampaignError

Shares = npt.NDArray[np.float64]
"""Points of the unit cube, (n, d)."""


class Sampler(Protocol):
    """Fills the unit cube with points."""

    def __call__(self, n: int, d: int, rng: np.random.Generator, /) -> Shares:
        """Return n points as an array (n, d) of numbers in [0, 1).

        All randomness comes from `rng`, so that a campaign's seed decides the points. The first k points are the same
        for every n ≥ k, so that a stage with more trials begins with the points of one with fewer.
        """


def _check(found: Any) -> Sampler:
    if not callable(found):
        raise TypeError("is not a function")
    try:
        inspect.signature(found).bind(1, 1, None)
    except TypeError as error:
        raise ValueError(f"is called as sample(n, d, rng), but {error}") from error
    except ValueError:  # a function written in C has no known signature
        pass
    sampler: Sampler = found
    return sampler


SAMPLERS = Group(
    "coarsefine.samplers",
    "sampler",
    {
        "random": "coarsefine.search.campaign.samplers.random:sample",
        "sobol": "coarsefine.search.campaign.samplers.sobol:sample",
    },
    _check,
)


def draw(space: Space, sampler: str, n: int, seed: np.random.SeedSequence) -> list[Point]:
    """Draw n points by the sampler of this name. The first k of them do not depend on n.

    Raises `ExtensionError` if there is no such sampler, or if it fails, and `CampaignError` if it does not return what
    a sampler must.
    """
    shares = _sampled(sampler, n, len(space), seed)
    for fewer in {n // 2, n - 1} - {0}:
        if not np.array_equal(_sampled(sampler, fewer, len(space), seed), shares[:fewer]):
            raise CampaignError(
                f"The {described(SAMPLERS, sampler)} does not begin {n} points with the {fewer} that it returns if "
                "asked for fewer: its points must depend on `rng` alone, and the first ones not on n."
            )
    return [space.point(point) for point in shares.tolist()]


def _sampled(name: str, n: int, d: int, seed: np.random.SeedSequence) -> Shares:
    """Return what a sampler draws with a generator of its own, after checking it."""
    sampler = load(SAMPLERS, name)
    rng = np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key))  # one that spawned none
    found = call(SAMPLERS, name, lambda: np.asarray(sampler(n, d, rng), dtype=np.float64))
    if found.shape != (n, d):
        raise CampaignError(
            f"The {described(SAMPLERS, name)} returned an array of shape {found.shape} for n = {n}, d = {d}: it must "
            f"be ({n}, {d})."
        )
    if not ((found >= 0) & (found < 1)).all():  # false for NaN, too
        outside = found[~((found >= 0) & (found < 1))][0]
        raise CampaignError(f"The {described(SAMPLERS, name)} returned {outside}: its numbers must be in [0, 1).")
    return found
