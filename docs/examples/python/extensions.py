import numpy as np

from coarsefine import Pruner, Rung, Sampler


def middle_first(n, d, rng):
    """Draw the middle of the ranges first, then random points."""
    points = rng.random((n, d))
    points[0] = 0.5
    return points


class BestThree(Pruner):
    """After half of the epochs, the three best trials of a cohort continue."""

    def rungs_of(self, epochs):
        return [epochs // 2]

    def survivors(self, rung, values):
        return sorted(values, key=values.get, reverse=True)[:3]


sampler: Sampler = middle_first
print(sampler(2, 3, np.random.default_rng(1)).round(2).tolist())

rung = Rung(epoch=5, place=0, last=10, cohort=range(4))
print(BestThree().survivors(rung, {0: 0.61, 1: 0.48, 2: 0.57, 3: 0.6}))
