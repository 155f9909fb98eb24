"""Comparison of analytic with numerical gradients in float64: the paper's Table 1."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coarsefine.model.datasets import Part
from coarsefine.model.network import Floats, Parameters, cost, forward, gradients

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

    def cost_and_active() -> tuple[float, npt.NDArray[np.bool_]]:
        return float(cost(theta, x, y, penalty)[0]), forward(theta, x, y).H > 0

    tensors = zip(Parameters._fields, theta, analytic, strict=True)
    return [_check(name, tensor, gradient, cost_and_active, sample, rng) for name, tensor, gradient in tensors]


_Cost = Callable[[], tuple[float, npt.NDArray[np.bool_]]]
"""The cost J as a function of θ, which its caller changes in place: it returns J and which hidden units are active."""


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
