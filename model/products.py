"""The two matrix products that trials share, with the promise that sharing changes no bit.

One product over all trials of a stack is what makes a stack fast. A BLAS may however pick another kernel, hence
another order of summation, for another number of rows (OpenBLAS does so for small products). So a width is shared
only where, on this machine and for exactly these shapes, it gives the bits of one trial alone: that is tried once
per shape and process, on random numbers, since the order of summation depends on shapes and never on values.
Otherwise each trial has its own product, always of the same shape: slower, and the same bits.
"""

from functools import cache
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import get_blas_funcs

Floats = npt.NDArray[Any]


def hidden_product(W1: Floats, x: Floats) -> Floats:
    """Return W1·xᵀ for every trial: (T, m, d) and (b, d) give (T, m, b)."""
    T, m, d = W1.shape
    if T > 1 and _forward_keeps_bits(T, m, d, len(x), W1.dtype.str):
        return (W1.reshape(T * m, d) @ x.T).reshape(T, m, len(x))
    return np.stack([block @ x.T for block in W1])


def momentum_product(W1_prev: Floats, rho: Floats, D: Floats, x: Floats) -> None:
    """Set W1_prev ← −ρ·W1_prev − D·x in place: shapes (T, m, d), (T,), (T, m, b), (b, d).

    Neighbours with equal ρ share one product.
    """
    _, m, d = W1_prev.shape
    first = 0
    for value, run in groupby(rho.tolist()):
        width = len(list(run))
        shared = width > 1 and _momentum_keeps_bits(width, m, d, len(x), W1_prev.dtype.str)
        step = width if shared else 1
        for start in range(first, first + width, step):
            _accumulate(W1_prev[start : start + step], value, D[start : start + step], x)
        first += width


def _accumulate(W1_prev: Floats, rho: float, D: Floats, x: Floats) -> None:
    # BLAS is column-major: the transposes are its natural layout, so nothing is copied and C is updated in place.
    rows = W1_prev.reshape(-1, W1_prev.shape[-1])
    gemm = get_blas_funcs("gemm", dtype=rows.dtype)
    gemm(-1.0, x.T, D.reshape(len(rows), -1).T, beta=-rho, c=rows.T, overwrite_c=1)


@cache
def _forward_keeps_bits(T: int, m: int, d: int, b: int, dtype: str) -> bool:
    W1, x = _sample((T * m, d), dtype), _sample((b, d), dtype)
    wide = W1 @ x.T
    return all(np.array_equal(wide[k : k + m], W1[k : k + m] @ x.T) for k in range(0, T * m, m))


@cache
def _momentum_keeps_bits(T: int, m: int, d: int, b: int, dtype: str) -> bool:
    x, D, wide = _sample((b, d), dtype), _sample((T, m, b), dtype), _sample((T, m, d), dtype)
    alone = wide.copy()
    _accumulate(wide, 0.9, D, x)
    for k in range(T):
        _accumulate(alone[k : k + 1], 0.9, D[k : k + 1], x)
    return np.array_equal(wide, alone)


def _sample(shape: tuple[int, ...], dtype: str) -> Floats:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)
