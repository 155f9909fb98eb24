"""The momentum step, equations (5)-(6), in place, and arranged for the memory it has to move.

With v = θ_prev − θ substituted, the two equations become the heavy-ball form

    θ_next = (1 + ρ)·θ − ρ·θ_prev − η·∂J/∂θ,

which needs two buffers and no temporaries: θ_next is built where θ_prev stood, and the two then swap names. The
gradient of the penalty, 2λθ, joins the factor of θ. W1 is nearly all of θ; two things make its step fast:

- Each buffer stands for `scale` times what it holds. Multiplying θ_prev by −ρ then costs one number for each trial
  instead of a pass over the weights, and the product D·x can be added in place.
- The columns of W1 lie in blocks. A block is stepped and at once multiplied with the next mini-batch, while it is
  still in the cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import get_blas_funcs

from coarsefine.model.network import Activations, Floats, Labels, Parameters, backward
from coarsefine.model.products import descend, filled_up, project

_COLUMNS = 768
"""Width of a block: of 256 to 1,536, where 20,000 × 3,072 images trained fastest (AMD Zen 4, 1 MiB of L2 cache)."""
_LEAST_SCALE = 2.0**-24
"""A scale smaller than this is multiplied into its weights, lest they overflow: every 300 steps for ρ = 0.9."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A mini-batch: its images (b, d) as blocks of columns (b, w), each contiguous, and its labels (b,)."""

    x: Sequence[Floats]
    y: Labels

    @classmethod
    def gather(cls, x: Floats, y: Labels, chosen: npt.NDArray[np.int64], dtype: npt.DTypeLike) -> Self:
        """Take the chosen images out of x (n, d), block by block, so that each is copied once."""
        blocks = (x[chosen, at : at + _COLUMNS] for at in range(0, x.shape[1], _COLUMNS))
        return cls([block.astype(dtype, copy=False) for block in blocks], y[chosen])

    def mirrored(self, which: npt.NDArray[np.bool_], width: int) -> Self:
        """Mirror some images (b,), whose rows are of so many pixels, left to right: in place."""
        for block in self.x:
            rows = block.reshape(len(block), -1, width)  # a view: a block holds whole rows
            rows[which] = rows[which][:, :, ::-1]
        return self


@dataclass(frozen=True, slots=True)
class Rates:
    """η, λ and ρ of every trial in one epoch, each (T,), float64."""

    eta: Floats
    lam: Floats
    rho: Floats

    @property
    def keep(self) -> Floats:
        """Return 1 + ρ − 2ηλ, the factor of the weights; that of the biases, which have no penalty, is 1 + ρ."""
        return np.asarray(1 + self.rho - 2 * self.eta * self.lam)


@dataclass(slots=True)
class _Weights:
    """W1 (T, m, d) of a stack: `scale` (T,) times blocks of columns (T, r, w), of whose rows the first m are W1's."""

    blocks: list[Floats]
    scale: Floats

    @classmethod
    def of(cls, W1: Floats) -> Self:
        blocks = [filled_up(W1[..., at : at + _COLUMNS]) for at in range(0, W1.shape[-1], _COLUMNS)]
        return cls([np.ascontiguousarray(block) for block in blocks], np.ones(len(W1)))

    def store(self, W1: Floats) -> None:
        """Write the weights where they came from."""
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
    def begin(cls, theta: Parameters, previous: Parameters, rates: Rates) -> Self:
        """Take over θ and θ_prev."""
        return cls(theta, previous, rates, _Weights.of(theta.W1), _Weights.of(previous.W1))

    def end(self) -> tuple[Parameters, Parameters]:
        """Give back θ and θ_prev, whole."""
        self._W1.store(self.theta.W1)
        self._W1_prev.store(self.previous.W1)
        return self.theta, self.previous

    def project(self, batch: Batch) -> Floats:
        """Return W1·xᵀ (T, r, b)."""
        S = self._room_for(batch)
        for place, (W, block) in enumerate(zip(self._W1.blocks, batch.x, strict=True)):
            project(W, block, S, add=place > 0)
        return self._scaled(S)

    def step(self, batch: Batch, act: Activations, following: Batch | None) -> Floats:
        """Take one step; return W1·xᵀ of the following mini-batch as `project` does, empty if there is none.

        Overwrites `act.P`.
        """
        rho, keep = self.rates.rho, self.rates.keep
        self._W1_prev.shrink(-rho)
        scale = self._W1_prev.scale
        D, G = backward(self.theta, batch.y, act, (self.rates.eta / len(batch.y)).astype(act.P.dtype))
        _heavy_ball(self.previous.W2, self.theta.W2, rho, keep, G @ act.H.transpose(0, 2, 1))
        _heavy_ball(self.previous.b1, self.theta.b1, rho, 1 + rho, D.sum(axis=2, keepdims=True))
        _heavy_ball(self.previous.b2, self.theta.b2, rho, 1 + rho, G.sum(axis=2, keepdims=True))
        D *= _column(1 / scale, D)
        S = self._step_and_project(batch, filled_up(D), keep * self._W1.scale / scale, following)
        self.theta, self.previous = self.previous, self.theta
        self._W1, self._W1_prev = self._W1_prev, self._W1
        return self._scaled(S)

    def _step_and_project(self, batch: Batch, D: Floats, factors: Floats, following: Batch | None) -> Floats:
        S = self._room_for(following)
        for place, (W_prev, W, x) in enumerate(zip(self._W1_prev.blocks, self._W1.blocks, batch.x, strict=True)):
            descend(W_prev, x, D)
            _add_scaled(W_prev, factors, W)
            if following is not None:
                project(W_prev, following.x[place], S, add=place > 0)
        return S

    def _room_for(self, batch: Batch | None) -> Floats:
        T, r, _ = self._W1.blocks[0].shape
        return np.empty((T, r, len(batch.y) if batch is not None else 0), self.theta.W1.dtype)

    def _scaled(self, S: Floats) -> Floats:
        S *= _column(self._W1.scale, S)
        return S


def _add_scaled(target: Floats, factors: Floats, source: Floats) -> None:
    # One axpy per trial reads and writes each number once, where NumPy would make a temporary of the whole stack.
    axpy = get_blas_funcs("axpy", dtype=target.dtype)
    for block, factor, addend in zip(target, factors, source, strict=True):
        axpy(addend.reshape(-1), block.reshape(-1), a=factor)


def _heavy_ball(previous: Floats, current: Floats, rho: Floats, factor: Floats, step_gradient: Floats) -> None:
    previous *= _column(-rho, previous)
    previous -= step_gradient
    previous += _column(factor, current) * current


def _column(values: Floats, like: Floats) -> Floats:
    return values.astype(like.dtype)[:, np.newaxis, np.newaxis]
