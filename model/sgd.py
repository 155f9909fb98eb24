"""The momentum step, equations (5)-(6), in place.

With v = θ_prev − θ substituted, the two equations become the heavy-ball form

    θ_next = (1 + ρ)·θ − ρ·θ_prev − η·∂J/∂θ,

which needs two buffers and no temporaries: θ_next is built where θ_prev stood, and the two then swap names. The
gradient of the penalty, 2λθ, joins the factor of θ.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg.blas import get_blas_funcs

from model.network import Activations, Floats, Labels, Parameters, backward
from model.products import momentum_product


@dataclass(frozen=True, slots=True)
class Rates:
    """η, λ and ρ of every trial in one epoch, each (T,), float64."""

    eta: Floats
    lam: Floats
    rho: Floats


def step(
    theta: Parameters, previous: Parameters, x: Floats, y: Labels, act: Activations, rates: Rates
) -> tuple[Parameters, Parameters]:
    """Take one step on the mini-batch (x, y); return the new θ and the new θ_prev.

    Overwrites `previous` and `act.P`.
    """
    D, G = backward(theta, y, act, (rates.eta / len(y)).astype(x.dtype))
    momentum_product(previous.W1, rates.rho, D, x)
    _add_scaled(previous.W1, 1 + rates.rho - 2 * rates.eta * rates.lam, theta.W1)
    rho, shrink = _column(rates.rho, x), _column(1 + rates.rho - 2 * rates.eta * rates.lam, x)
    _heavy_ball(previous.W2, theta.W2, rho, shrink, G @ act.H.transpose(0, 2, 1))
    _heavy_ball(previous.b1, theta.b1, rho, 1 + rho, D.sum(axis=2, keepdims=True))
    _heavy_ball(previous.b2, theta.b2, rho, 1 + rho, G.sum(axis=2, keepdims=True))
    return previous, theta


def _add_scaled(target: Floats, factors: Floats, source: Floats) -> None:
    # One axpy per trial reads and writes each number once, where NumPy would make a temporary of the whole stack.
    axpy = get_blas_funcs("axpy", dtype=target.dtype)
    for block, factor, addend in zip(target, factors, source, strict=True):
        axpy(addend.reshape(-1), block.reshape(-1), a=factor)


def _heavy_ball(previous: Floats, current: Floats, rho: Floats, factor: Floats, step_gradient: Floats) -> None:
    previous *= -rho
    previous -= step_gradient
    previous += factor * current


def _column(values: Floats, like: Floats) -> Floats:
    return values.astype(like.dtype)[:, np.newaxis, np.newaxis]
