"""The momentum step, equations (5)-(6), in place, and arranged to move little memory.

With v = θ_prev − θ substituted, the two equations become the heavy-ball form

    θ_next = (1 + ρ)·θ − ρ·θ_prev − η·∂J/∂θ,

which needs two buffers and no temporary arrays: θ_next overwrites θ_prev, and the two buffers swap names. The gradient
of the penalty, 2λθ, becomes part of the factor of θ. W1 is nearly all of θ, and two things make its step fast:

- A buffer represents its numbers times `scale`. So multiplying θ_prev by −ρ changes one number for each trial instead
  of all weights, and the product D·x can be added in place.
- The columns of W1 lie in blocks. After its step, a block is multiplied with the next mini-batch while it is still in
  the cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import get_blas_funcs

from coarsefine.model.network import Activations, Labels, Parameters, backward
from coarsefine.model.products import Floats, descend, padded, project

_COLUMNS = 768
"""Width of a block: of 256 to 1,536, the fastest for 20,000 × 3,072 images (AMD Zen 4, 1 MiB of L2 cache)."""
_LEAST_SCALE = 2.0**-24
"""A smaller scale is multiplied into its weights, which would overflow otherwise: every 300 steps or so for ρ = 0.9."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A mini-batch: images (b, d) as contiguous blocks of columns (b, w), and labels (b,)."""

    x: Sequence[Floats]
    y: Labels

    @classmethod
    def gather(cls, x: Floats, y: Labels, chosen: npt.NDArray[np.int64], dtype: npt.DTypeLike) -> Self:
        """Copy the chosen images from x (n, d), block by block."""
        blocks = (x[chosen, at : at + _COLUMNS] for at in range(0, x.shape[1], _COLUMNS))
        return cls([block.astype(dtype, copy=False) for block in blocks], y[chosen])


@dataclass(frozen=True, slots=True)
class Rates:
    """η, λ and ρ of every trial in one epoch, each (T,), float64."""

    eta: Floats
    lam: Floats
    rho: Floats


@dataclass(slots=True)
class _Weights:
    """W1 (T, m, d) of a stack: `scale` (T,) times blocks of columns (T, r, w), in the first m rows of each trial."""

    blocks: list[Floats]
    scale: Floats

    @classmethod
    def of(cls, W1: Floats) -> Self:
        blocks = [padded(W1[..., at : at + _COLUMNS]) for at in range(0, W1.shape[-1], _COLUMNS)]
        return cls([np.ascontiguousarray(block) for block in blocks], np.ones(len(W1)))

    def store(self, W1: Floats) -> None:
        """Write the weights to W1."""
        factor = _column(self.scale, W1)
        for at, block in zip(range(0, W1.shape[-1], _COLUMNS), self.blocks, strict=True):
            np.multiply(block[:, : W1.shape[1]], factor, out=W1[..., at : at + _COLUMNS])

    def shrink(self, factor: Floats) -> None:
        """Multiply every trial by its factor (T,)."""
        self.scale = self.scale * factor
        for k in np.flatnonzero(np.abs(self.scale) < _LEAST_SCALE):
            for block in self.blocks:
                block[k] *= self.scale[k]
            self.scale[k] = 1


@dataclass(slots=True)
class HeavyBall:
    """θ and θ_prev of a stack during one epoch. `theta.W1` and `previous.W1` are current only before and after it."""

    theta: Parameters
    previous: Parameters
    rates: Rates
    _W1: _Weights
    _W1_prev: _Weights

    @classmethod
    def start(cls, theta: Parameters, previous: Parameters, rates: Rates) -> Self:
        """Take over the memory of θ and θ_prev."""
        return cls(theta, previous, rates, _Weights.of(theta.W1), _Weights.of(previous.W1))

    def finish(self) -> tuple[Parameters, Parameters]:
        """Return θ and θ_prev, with W1 up to date."""
        self._W1.store(self.theta.W1)
        self._W1_prev.store(self.previous.W1)
        return self.theta, self.previous

    def project(self, batch: Batch) -> Floats:
        """Return W1·xᵀ (T, r, b)."""
        S = self._empty_products(batch)
        for place, (W, block) in enumerate(zip(self._W1.blocks, batch.x, strict=True)):
            project(W, block, S, add=place > 0)
        return self._scaled(S)

    def step(self, batch: Batch, act: Activations, following: Batch | None) -> Floats:
        """Take one step; return W1·xᵀ of the following mini-batch like `project`, or an empty array if there is none.

        Overwrites `act.P`.
        """
        rho = self.rates.rho
        factor = 1 + rho - 2 * self.rates.eta * self.rates.lam  # of the weights; biases have no penalty
        self._W1_prev.shrink(-rho)
        scale = self._W1_prev.scale
        D, G = backward(self.theta, batch.y, act, (self.rates.eta / len(batch.y)).astype(act.P.dtype))
        _heavy_ball(self.previous.W2, self.theta.W2, rho, factor, G @ act.H.transpose(0, 2, 1))
        _heavy_ball(self.previous.b1, self.theta.b1, rho, 1 + rho, D.sum(axis=2, keepdims=True))
        _heavy_ball(self.previous.b2, self.theta.b2, rho, 1 + rho, G.sum(axis=2, keepdims=True))
        D *= _column(1 / scale, D)
        S = self._step_and_project(batch, padded(D), factor * self._W1.scale / scale, following)
        self.theta, self.previous = self.previous, self.theta
        self._W1, self._W1_prev = self._W1_prev, self._W1
        return self._scaled(S)

    def _step_and_project(self, batch: Batch, D: Floats, factors: Floats, following: Batch | None) -> Floats:
        S = self._empty_products(following)
        for place, (W_prev, W, x) in enumerate(zip(self._W1_prev.blocks, self._W1.blocks, batch.x, strict=True)):
            descend(W_prev, x, D)
            _add_scaled(W_prev, factors, W)
            if following is not None:
                project(W_prev, following.x[place], S, add=place > 0)
        return S

    def _empty_products(self, batch: Batch | None) -> Floats:
        T, r, _ = self._W1.blocks[0].shape
        return np.empty((T, r, len(batch.y) if batch is not None else 0), self.theta.W1.dtype)

    def _scaled(self, S: Floats) -> Floats:
        S *= _column(self._W1.scale, S)
        return S


def _add_scaled(target: Floats, factors: Floats, source: Floats) -> None:
    # One axpy per trial reads and writes each number once; NumPy would make a temporary array of the whole stack.
    axpy = get_blas_funcs("axpy", dtype=target.dtype)
    for block, factor, addend in zip(target, factors, source, strict=True):
        axpy(addend.reshape(-1), block.reshape(-1), a=factor)


def _heavy_ball(previous: Floats, current: Floats, rho: Floats, factor: Floats, scaled_gradient: Floats) -> None:
    previous *= _column(-rho, previous)
    previous -= scaled_gradient
    previous += _column(factor, current) * current


def _column(values: Floats, like: Floats) -> Floats:
    return values.astype(like.dtype)[:, np.newaxis, np.newaxis]
