"""The pruner `hyperband`: successive halving of several brackets, from early to late (Li et al. 2018).

Successive halving must choose between many trials that are compared early, when the values say little, and few that
are compared late. Hyperband does both: each cohort is divided into brackets, and each bracket has its first rung one
later than the one before it. The trials of the last bracket are never pruned.
"""

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from coarsefine.search.campaign.pruners.halving import Halving
from coarsefine.search.campaign.pruning import Pruner, Rung


class Hyperband(Pruner):
    """Keeps the best 1/factor of a bracket at each of the rungs that it has."""

    least: Annotated[int, Field(ge=1, description="The fewest epochs after which a trial may be pruned.")] = 1
    factor: Annotated[
        float,
        Field(ge=1.5, le=100, description="The best 1/factor of a bracket continue; each rung is as much later."),
    ] = 3.0

    def rungs_of(self, epochs: int) -> Sequence[int]:
        """Return the last epoch divided by the factor again and again, as long as that is not below the least."""
        powers = itertools.takewhile(
            lambda shorter: shorter >= self.least - 1e-9, (epochs / self.factor**k for k in itertools.count(1))
        )
        return sorted({rung for rung in map(round, powers) if self.least <= rung < epochs})

    def survivors(self, rung: Rung, values: Mapping[int, float]) -> Collection[int]:
        """Return the best trials of each bracket that has this rung, and all trials of those that begin later."""
        kept: list[int] = []
        for skipped, bracket in enumerate(self.brackets(rung.cohort, rung.last)):
            reached = {number: values[number] for number in bracket if number in values}
            own = Rung(rung.epoch, rung.place - skipped, rung.last, bracket)
            kept += self._halving.survivors(own, reached) if own.place >= 0 else reached
        return kept

    def reason(self, rung: Rung, kept: int) -> str:  # noqa: ARG002 - a pruner's signature
        """Return that others of its bracket were better."""
        return "not among the best of its bracket"

    def epochs_of(self, trials: int, epochs: int) -> int:
        """Return the epochs that all brackets train."""
        rungs = self.rungs_of(epochs)
        sizes = [len(bracket) for bracket in self.brackets(range(trials), epochs)]
        halved = sum(
            Halving(rungs=rungs[skipped:], factor=self.factor).epochs_of(size, epochs)
            for skipped, size in enumerate(sizes[:-1])
            if size
        )
        return halved + sizes[-1] * epochs

    def brackets(self, cohort: range, epochs: int) -> Iterator[range]:
        """Yield a cohort's brackets, consecutive numbers each: the n-th lacks the first n rungs.

        As in the paper, a bracket with s rungs has a share of the trials in proportion to factor^s · (S + 1) / (s + 1),
        where S is the number of all rungs: each bracket trains about as many epochs. In a small cohort, one may be
        empty.
        """
        rungs = len(self.rungs_of(epochs))
        shares = [math.ceil((rungs + 1) / (s + 1) * self.factor**s - 1e-9) for s in range(rungs, -1, -1)]
        total = sum(shares)
        ends = [(2 * len(cohort) * end + total) // (2 * total) for end in itertools.accumulate(shares)]
        return (cohort[start:end] for start, end in itertools.pairwise((0, *ends)))

    @property
    def _halving(self) -> Halving:
        return Halving(factor=self.factor)
