"""The sampler `random`: independent, uniform draws."""

import numpy as np
import numpy.typing as npt


def sample(n: int, d: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return n uniform points of the d-dimensional unit cube as (n, d)."""
    return rng.random((n, d))
