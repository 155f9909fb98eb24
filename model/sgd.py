"""The momentum step, equations (5)-(6), in NumPy: what the kernel computes, and what trains where there is no kernel.

With v = θ_prev − θ substituted, the two equations become the heavy-ball form

    θ_next = (1 + ρ)·θ − ρ·θ_prev − η·∂J/∂θ,

which needs two buffers: θ_next overwrites θ_prev, and the two swap names. The gradient of the penalty, 2λθ, becomes
part of the factor of θ.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coarsefine.model.datasets import Part
from coarsefine.model.epoch import Epoch, Rates
from coarsefine.model.network import Floats, Labels, Parameters, backward, forward

_EVALUATED = 250
"""Images that are evaluated together: few enough to keep the activations in the cache."""


@dataclass(frozen=True, slots=True)
class NumpyArithmetic:
    """Trains the trials of a stack one after the other. Its bits depend on the processor and the BLAS."""

    def train_epoch(self, theta: Parameters, previous: Parameters, rates: Rates, epoch: Epoch) -> Floats:
        """Train an epoch in place; return each trial's sum of the cross-entropy (T,), float64."""
        losses = np.zeros(len(theta.W1))
        for k in range(len(losses)):
            trial, before = theta.select([k]), previous.select([k])
            own = Rates(rates.eta[[k]], rates.lam[[k]], rates.rho[[k]])
            for x, y in epoch.mini_batches(theta.W1.dtype):
                loss, trial, before = step(trial, before, own, x, y)
                losses[k] += loss[0]
            theta.set_trial(k, trial.trial_arrays(0))
            previous.set_trial(k, before.trial_arrays(0))
        return losses

    def evaluate(self, theta: Parameters, part: Part) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Return each trial's sum of the cross-entropy (T,), float64, and its number of hits (T,)."""
        losses, hits = np.zeros(len(theta.W1)), np.zeros(len(theta.W1), np.int64)
        for k in range(len(losses)):
            for start in range(0, len(part.y), _EVALUATED):
                y = part.y[start : start + _EVALUATED]
                x = part.x[start : start + _EVALUATED].astype(theta.W1.dtype, copy=False)
                act = forward(theta.select([k]), x, y)
                losses[k] += act.losses.sum(dtype=np.float64)
                hits[k] += (act.P[0].argmax(axis=0) == y).sum()
        return losses, hits


def step(
    theta: Parameters, previous: Parameters, rates: Rates, x: Floats, y: Labels
) -> tuple[Floats, Parameters, Parameters]:
    """Take one step; return the sum of the cross-entropy before it (T,), θ_next and θ. Overwrites `previous`."""
    act = forward(theta, x, y)
    D, G = backward(theta, y, act, (rates.eta / len(y)).astype(x.dtype))
    scaled_gradient = Parameters(
        D @ x, D.sum(axis=2, keepdims=True), G @ act.H.transpose(0, 2, 1), G.sum(axis=2, keepdims=True)
    )
    factor = 1 + rates.rho
    penalised = factor - 2 * rates.eta * rates.lam  # of the weights; biases have no penalty
    factors = Parameters(penalised, factor, penalised, factor)
    for before, now, of_now, change in zip(previous, theta, factors, scaled_gradient, strict=True):
        before[...] = _column(-rates.rho, before) * before + _column(of_now, now) * now - change
    return act.losses.sum(axis=1, dtype=np.float64), previous, theta


def _column(values: Floats, like: Floats) -> Floats:
    return values.astype(like.dtype)[:, np.newaxis, np.newaxis]
