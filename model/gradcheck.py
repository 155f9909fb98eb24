"""Comparison of analytic with numerical gradients in float64: the paper's Table 1."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coarsefine.model.datasets import Part
from coarsefine.model.network import Floats, Labels, Parameters, cost, forward, gradients

_STEP = 1e-5
"""h of the central difference (J(θ+h) − J(θ−h))/2h, for which rounding and truncation errors are about equal."""


@dataclass(frozen=True, slots=True)
class TensorCheck:
    """The agreement of the two gradients of one tensor."""

    tensor: str
    relative_error: float
    """‖analytic − numerical‖ / (‖analytic‖ + ‖numerical‖) over the checked coordinates; NaN if there are none."""
    checked: int
    """Number of coordinates compared."""
    kinks: int
    """Number of coordinates left out: a step of ±h moves a hidden unit across its kink, where J has no derivative."""


def check_gradients(part: Part, classes: int, hidden: int, *, lam: float, sample: int, seed: int) -> list[TensorCheck]:
    """Check W1, b1, W2 and b2 of a newly drawn network on these images, at up to `sample` coordinates of each tensor.

    `seed` draws the network and the coordinates.
    """
    x, y = part.x.astype(np.float64), part.y
    theta = Parameters.draw([seed], x.shape[1], hidden, classes, np.float64)
    penalty = np.array([lam])
    analytic = gradients(theta, x, y, penalty)
    rng = np.random.default_rng(seed)
    return [
        _check(name, getattr(theta, name), getattr(analytic, name), _Cost(theta, x, y, penalty), sample, rng)
        for name in ("W1", "b1", "W2", "b2")
    ]


@dataclass(frozen=True, slots=True)
class _Cost:
    """The cost J as a function of θ, which the caller changes in place. A call returns J and the active units."""

    theta: Parameters
    x: Floats
    y: Labels
    lam: Floats

    def __call__(self) -> tuple[float, npt.NDArray[np.bool_]]:
        active = forward(self.theta, self.x, self.y).H > 0
        return float(cost(self.theta, self.x, self.y, self.lam)[0]), active


def _check(name: str, tensor: Floats, analytic: Floats, J: _Cost, sample: int, rng: np.random.Generator) -> TensorCheck:
    size = tensor.size
    places = rng.choice(size, min(sample, size), replace=False)
    pairs = np.array(list(_differences(tensor.reshape(-1), analytic.reshape(-1), places, J))).reshape(-1, 2)
    ga, gn = pairs.T
    return TensorCheck(name, _relative_error(ga, gn), len(pairs), len(places) - len(pairs))


def _relative_error(ga: Floats, gn: Floats) -> float:
    if len(ga) == 0:
        return float("nan")
    scale = np.linalg.norm(ga) + np.linalg.norm(gn)
    return float(np.linalg.norm(ga - gn) / scale) if scale else 0.0


def _differences(flat: Floats, analytic: Floats, places: Floats, J: _Cost) -> Iterator[tuple[float, float]]:
    for place in places:
        kept = flat[place]
        flat[place] = kept + _STEP
        above, active_above = J()
        flat[place] = kept - _STEP
        below, active_below = J()
        flat[place] = kept
        if np.array_equal(active_above, active_below):
            yield analytic[place], (above - below) / (2 * _STEP)
