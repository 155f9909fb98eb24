"""The sampler `halton`: scrambled Halton points, which fill the cube more evenly than independent draws."""

from scipy.stats import qmc


def sample(n, d, rng):
    """Return n points of the d-dimensional unit cube as (n, d)."""
    return qmc.Halton(d=d, scramble=True, rng=rng).random(n)
