"""The two-layer network for a stack of T trials: equations (1)-(4) of the paper and their gradients.

Shapes: T trials, m hidden units, d inputs, C classes, b images. Trial k is the contiguous block k of every array. No
operation mixes blocks, so the numbers of a trial never depend on the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
Labels = npt.NDArray[np.int64]


class Parameters(NamedTuple):
    """θ of a stack: W1 (T, m, d), b1 (T, m, 1), W2 (T, C, m), b2 (T, C, 1); or a gradient of the same shapes."""

    W1: Floats
    b1: Floats
    W2: Floats
    b2: Floats

    @classmethod
    def draw(cls, seeds: Sequence[int], d: int, m: int, C: int, dtype: npt.DTypeLike) -> Self:
        """Draw initial weights with standard deviation 1/√fan-in and zero biases, each trial from its own seed."""
        W1, W2 = np.empty((len(seeds), m, d), dtype), np.empty((len(seeds), C, m), dtype)
        for k, seed in enumerate(seeds):
            rng = np.random.default_rng(seed)
            W1[k] = rng.standard_normal((m, d)) / np.sqrt(d)
            W2[k] = rng.standard_normal((C, m)) / np.sqrt(m)
        zeros = np.zeros((len(seeds), m, 1), dtype), np.zeros((len(seeds), C, 1), dtype)
        return cls(W1, zeros[0], W2, zeros[1])

    def trial_arrays(self, place: int) -> dict[str, Floats]:
        """Return the arrays of one trial by name."""
        return {name: array[place] for name, array in self._asdict().items()}

    def set_trial(self, place: int, arrays: Mapping[str, Floats]) -> None:
        """Overwrite one trial; raise `ValueError` if an array is missing, or of another shape or precision."""
        for name, own in self.trial_arrays(place).items():
            if name not in arrays:
                raise ValueError(f"{name} is missing")
            given = arrays[name]
            if (given.shape, given.dtype) != (own.shape, own.dtype):
                raise ValueError(
                    f"{name} has shape {given.shape} and dtype {given.dtype}; this network needs {own.shape} and "
                    f"{own.dtype}"
                )
            own[...] = given

    def copy(self) -> Self:
        """Return a copy."""
        return type(self)(*(array.copy() for array in self))

    def select(self, places: Sequence[int]) -> Self:
        """Return the trials at these places, in this order."""
        return type(self)(*(array[list(places)] for array in self))

    def concatenate(self, other: Self) -> Self:
        """Return the trials of both stacks, this one's first."""
        return type(self)(*map(np.concatenate, zip(self, other, strict=True)))


@dataclass(slots=True)
class Activations:
    """Results of a forward pass: hidden units H (T, m, b), probabilities P (T, C, b), losses (T, b)."""

    H: Floats
    P: Floats
    losses: Floats


def forward(theta: Parameters, x: Floats, y: Labels) -> Activations:
    """Return the activations for images x (b, d) with labels y (b,), and each image's cross-entropy."""
    H = theta.W1 @ x.T
    H += theta.b1  # (1)
    np.maximum(H, 0, out=H)  # (2)
    Z = theta.W2 @ H
    Z += theta.b2  # (3)
    Z -= Z.max(axis=1, keepdims=True)  # leaves softmax unchanged and prevents overflow
    target = Z[:, y, np.arange(len(y))]
    np.exp(Z, out=Z)
    total = Z.sum(axis=1)
    Z /= total[:, np.newaxis]  # (4)
    return Activations(H, Z, np.log(total) - target)


def backward(theta: Parameters, y: Labels, act: Activations, weight: Floats) -> tuple[Floats, Floats]:
    """Return weight·∂(Σ cross-entropy)/∂s at both layers: D (T, m, b) and G (T, C, b).

    `weight` (T,) scales each trial: 1/b gives the gradient of the mean, η/b that of a step. G takes over the memory of
    `act.P`.
    """
    G = act.P
    G[:, y, np.arange(len(y))] -= 1
    G *= weight[:, np.newaxis, np.newaxis]
    D = theta.W2.transpose(0, 2, 1) @ G
    D *= act.H > 0
    return D, G


def gradients(theta: Parameters, x: Floats, y: Labels, lam: Floats) -> Parameters:
    """Return ∂J/∂θ of the cost J = mean cross-entropy + λ(‖W1‖² + ‖W2‖²), with λ (T,)."""
    act = forward(theta, x, y)
    D, G = backward(theta, y, act, np.full(len(lam), 1 / len(y), theta.W1.dtype))
    penalty = 2 * lam[:, np.newaxis, np.newaxis]
    return Parameters(
        D @ x + penalty * theta.W1,
        D.sum(axis=2, keepdims=True),
        G @ act.H.transpose(0, 2, 1) + penalty * theta.W2,
        G.sum(axis=2, keepdims=True),
    )


def cost(theta: Parameters, x: Floats, y: Labels, lam: Floats) -> Floats:
    """Return the cost J (T,) whose gradients `gradients` returns."""
    squares = (theta.W1**2).sum(axis=(1, 2)) + (theta.W2**2).sum(axis=(1, 2))
    return np.asarray(forward(theta, x, y).losses.mean(axis=1) + lam * squares)
