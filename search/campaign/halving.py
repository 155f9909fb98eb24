"""Successive halving (Jamieson & Talwalkar 2016), in the one form whose outcome no timing can change. Pure functions.

A rung is an epoch after which only the best share of the trials goes on. The asynchronous variant, Optuna's
`SuccessiveHalvingPruner` among them, compares a trial with those that happen to have come as far. Here a trial is
compared with a fixed cohort, once all of it has come as far: the same trials are pruned for any number of workers,
and after any crash.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

_LARGEST_COHORT = 64
"""Trials compared with one another: a worker keeps the weights of as many until their rung is decided."""


@dataclass(frozen=True, slots=True)
class Halving:
    """Epochs after which all but the best 1/factor of those that came so far are pruned."""

    rungs: tuple[int, ...]
    factor: float

    @classmethod
    def usual(cls, epochs: int, factor: float) -> "Halving":
        """Return rungs after a tenth and four tenths of the epochs.

        Of 50 trials of the paper's three stages the last of these lost none of the best, at 41 % of the epochs; rungs a
        factor apart (1, 2, 5 of 10 epochs), which the literature favours, lost 0.6 to 1.7 points.
        """
        rungs = {max(1, round(epochs * share)) for share in (0.1, 0.4)}
        return cls(tuple(sorted(rung for rung in rungs if rung < epochs)), factor)

    def next_stop(self, epoch: int, last: int) -> int:
        """Return the epoch to which a trial trains next: a rung, or the last."""
        return next((rung for rung in self.rungs if rung > epoch), last)

    def kept(self, trials: int, rung: int) -> int:
        """Return how many of a cohort of so many trials go on after a rung: at least one."""
        return max(1, math.ceil(trials / self.factor ** (self.rungs.index(rung) + 1) - 1e-9))

    def epochs_of(self, trials: int, last: int) -> int:
        """Return how many epochs a stage of so many trials trains, all together, if none of them fails."""
        epochs = first = 0
        while first < trials:
            cohort = cohort_of(first, trials)
            going = (len(cohort), *(self.kept(len(cohort), rung) for rung in self.rungs))
            parts = itertools.pairwise((0, *self.rungs, last))
            epochs += sum(n * (end - start) for n, (start, end) in zip(going, parts, strict=True))
            first = cohort.stop
        return epochs


NO_HALVING = Halving((), 2.0)
"""Every trial trains to its last epoch."""


def cohort_of(number: int, trials: int) -> range:
    """Return the slot numbers that a slot is compared with: a stage of so many trials in equal shares, in order."""
    cohorts = math.ceil(trials / _LARGEST_COHORT)
    share = number * cohorts // trials
    return range(-(-share * trials // cohorts), -(-(share + 1) * trials // cohorts))


def survivors(values: Mapping[int, float], kept: int) -> set[int]:
    """Return the slots of a cohort that go on: those of the highest values; of equal ones, the lower numbers."""
    return set(sorted(values, key=lambda number: (-values[number], number))[:kept])
