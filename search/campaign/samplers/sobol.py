"""The sampler `sobol`: scrambled Sobol points, which fill the cube more evenly than independent draws."""

import math

import numpy as np
import numpy.typing as npt


def sample(n: int, d: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return n points of the d-dimensional unit cube as (n, d)."""
    from scipy.stats import qmc  # noqa: PLC0415 - slow to import, rarely needed

    # Sobol points are balanced in powers of two: draw the next power and keep the first n.
    points: npt.NDArray[np.float64] = qmc.Sobol(d=d, scramble=True, rng=rng).random_base2(math.ceil(math.log2(n)))
    return points[:n]
