"""The two matrix products that trials share, in place, with the promise that sharing changes no bit.

One product over all trials of a stack is what makes a stack fast. A BLAS may however pick another kernel, hence
another order of summation, for another number of rows (OpenBLAS does so for small products). So a width is shared
only where, on this machine and for exactly these shapes, it gives the bits of one trial alone: that is tried once
per shape, number of BLAS threads and process, on random numbers, since the order of summation depends on these and
never on values. Otherwise each trial has its own product, always of the same shape: slower, and the same bits.

Another kernel may be at work in a few rows or columns only, those left over at the edge of its tiles, and there most
sums still round alike (seen: 2 of 250, for 3 trials of 50 hidden units and 5 images). So small shapes are tried many
times.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import get_blas_funcs
from threadpoolctl import ThreadpoolController

Floats = npt.NDArray[Any]

_BLAS = ThreadpoolController().select(user_api="blas").lib_controllers


def project(W: Floats, x: Floats, S: Floats, *, add: bool) -> None:
    """Set S ← W·xᵀ, or S ← S + W·xᵀ, for every trial: shapes (T, m, d), (b, d) and (T, m, b)."""
    _shared_or_alone(_project if not add else _project_added, W, x, S)


def descend(W: Floats, x: Floats, D: Floats) -> None:
    """Set W ← W − D·x for every trial: shapes (T, m, d), (b, d) and (T, m, b)."""
    _shared_or_alone(_descend, W, x, D)


_Product = Callable[[Floats, Floats, Floats], None]


def _shared_or_alone(product: _Product, W: Floats, x: Floats, S: Floats) -> None:
    T, m, d = W.shape
    threads = tuple(library.num_threads for library in _BLAS)  # how a product is split depends on them; asked in 1-2 µs
    if _keeps_bits(product, T, m, d, len(x), W.dtype.str, threads):
        product(W, x, S)
        return
    for k in range(T):
        product(W[k : k + 1], x, S[k : k + 1])


def _project(W: Floats, x: Floats, S: Floats, beta: float = 0.0) -> None:
    # BLAS is column-major: the transposes of our arrays are its natural layout, so nothing is copied.
    rows, out = W.reshape(-1, W.shape[-1]), S.reshape(-1, S.shape[-1])
    _gemm(W)(1.0, x.T, rows.T, beta=beta, c=out.T, trans_a=1, overwrite_c=1)


def _project_added(W: Floats, x: Floats, S: Floats) -> None:
    _project(W, x, S, beta=1.0)


def _descend(W: Floats, x: Floats, D: Floats) -> None:
    # β = 1: any other has the BLAS pass over all of W once more before it multiplies.
    rows, steps = W.reshape(-1, W.shape[-1]), D.reshape(-1, D.shape[-1])
    _gemm(W)(-1.0, x.T, steps.T, beta=1.0, c=rows.T, overwrite_c=1)


def _gemm(like: Floats) -> Any:
    return get_blas_funcs("gemm", dtype=like.dtype)


@cache
def _keeps_bits(product: _Product, T: int, m: int, d: int, b: int, dtype: str, threads: tuple[int, ...]) -> bool:  # noqa: ARG001 - a key
    if T == 1:
        return True
    rng = np.random.default_rng(0)
    draws = min(_LEAST_DRAWS + _SUMS // (T * m * b), _MOST_DRAWS)
    return all(_same_bits(product, *_draw(rng, T, m, d, b, dtype)) for _ in range(draws))


_LEAST_DRAWS, _MOST_DRAWS = 2, 200
_SUMS = 100_000
"""Sums to compare before a small shape is trusted."""


def _draw(rng: np.random.Generator, T: int, m: int, d: int, b: int, dtype: str) -> tuple[Floats, Floats, Floats]:
    W, x, S = (rng.standard_normal(shape, np.float32) for shape in ((T, m, d), (b, d), (T, m, b)))
    return W.astype(dtype), x.astype(dtype), S.astype(dtype)


def _same_bits(product: _Product, W: Floats, x: Floats, S: Floats) -> bool:
    W_alone, S_alone = W.copy(), S.copy()
    product(W, x, S)
    for k in range(len(W)):
        product(W_alone[k : k + 1], x, S_alone[k : k + 1])
    return np.array_equal(W, W_alone) and np.array_equal(S, S_alone)
