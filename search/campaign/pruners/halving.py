"""The pruner `halving`: successive halving (Jamieson & Talwalkar 2016) of fixed cohorts."""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from coarsefine.search.campaign.pruning import Pruner, Rung


class Halving(Pruner):
    """Keeps the best 1/factor of a cohort at its first rung, the best 1/factor² at its second, and so on."""

    # In the paper's three stages of 50 trials the default rungs lost none of the best trials and took 41 % of the
    # epochs. Rungs a factor apart (1, 2, 5 of 10 epochs), which the literature favours, lost 0.6 to 1.7 points.
    rungs: Annotated[
        list[Annotated[int, Field(ge=1)]] | None,
        Field(description="The epochs after which trials are pruned; by default after 10 % and 40 % of all."),
    ] = None
    factor: Annotated[
        float, Field(gt=1, le=100, description="The best 1/factor of a cohort continue after each rung.")
    ] = 2.0

    @model_validator(mode="after")
    def _check_rungs(self) -> Self:
        if self.rungs is not None and (not self.rungs or self.rungs != sorted(set(self.rungs))):
            raise ValueError(f"rungs = {self.rungs} must be epochs in rising order, at least one")
        return self

    def rungs_of(self, epochs: int) -> Sequence[int]:
        """Return the rungs that were given, or the default ones."""
        if self.rungs is not None:
            return self.rungs
        rungs = {max(1, round(epochs * share)) for share in (0.1, 0.4)}
        return sorted(rung for rung in rungs if rung < epochs)

    def survivors(self, rung: Rung, values: Mapping[int, float]) -> Collection[int]:
        """Return the trials with the highest values, and of equal values those with the lower numbers."""
        ranked = sorted(values, key=lambda number: (-values[number], number))
        return ranked[: self._kept(len(rung.cohort), rung.place)]

    def reason(self, rung: Rung, kept: int) -> str:
        """Return how many were better."""
        return f"not among the {kept} best of {len(rung.cohort)}"

    def epochs_of(self, trials: int, epochs: int) -> int:
        """Return the epochs of the trials that continue after each rung."""
        rungs = self.rungs_of(epochs)
        continuing = (trials, *(self._kept(trials, place) for place in range(len(rungs))))
        parts = itertools.pairwise((0, *rungs, epochs))
        return sum(n * (end - start) for n, (start, end) in zip(continuing, parts, strict=True))

    def _kept(self, trials: int, place: int) -> int:
        """Return how many of a cohort's trials continue after a rung: at least one."""
        return max(1, math.ceil(trials / self.factor ** (place + 1) - 1e-9))
