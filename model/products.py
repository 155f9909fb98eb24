"""The two matrix products that trials share, in place. Sharing them changes no bit.

One product over all trials is what makes a stack fast. But a BLAS may use another kernel, and with it another order of
summation, for another number of rows, or for rows that do not fill one of its tiles. OpenBLAS's Haswell kernels, which
AMD's Zen to Zen 3 use too, process rows in tiles of twelve, and the order of a sum depends on the place in the tile. So
the rows of each trial are padded with zeros to a multiple of the tile, which is found by trying.

A product is shared only if, on this machine and for exactly these shapes, it gives the same bits as one trial alone.
That is tested on random numbers, once per shape, number of BLAS threads and process: the order of summation depends on
these and never on values. If the test fails, each trial has a product of its own, always of the same shape: slower,
with the same bits.

Another kernel may process only the few rows or columns at the edge of the tiles, where most sums still round alike
(seen: 2 of 250 differed, for 3 trials of 50 hidden units and 5 images). So small shapes are tested many times.
"""

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import get_blas_funcs
from threadpoolctl import ThreadpoolController

Floats = npt.NDArray[Any]

_BLAS = ThreadpoolController().select(user_api="blas").lib_controllers


def padded(W: Floats) -> Floats:
    """Return W (T, m, d) as (T, r, d), r ≥ m, with rows of zeros after each trial's m, for trials to share.

    r depends on m, the precision, the BLAS and its threads, never on T. If r = m, W itself is returned.
    """
    T, m, d = W.shape
    rows = -(-m // (tile := _tile(m, W.dtype.str, _threads()))) * tile
    if rows == m:
        return W
    result = np.zeros((T, rows, d), W.dtype)
    result[:, :m] = W
    return result


def projected(W: Floats, x: Floats) -> Floats:
    """Return W·xᵀ for every trial: shapes (T, m, d), (b, d) and (T, m, b)."""
    S = np.empty((*W.shape[:2], len(x)), W.dtype)
    project(W, x, S, add=False)
    return S


def project(W: Floats, x: Floats, S: Floats, *, add: bool) -> None:
    """Set S ← W·xᵀ, or S ← S + W·xᵀ, for every trial: shapes (T, m, d), (b, d) and (T, m, b)."""
    _share_if_bits_agree(_project if not add else _project_added, W, x, S)


def descend(W: Floats, x: Floats, D: Floats) -> None:
    """Set W ← W − D·x for every trial: shapes (T, m, d), (b, d) and (T, m, b)."""
    _share_if_bits_agree(_descend, W, x, D)


_Product = Callable[[Floats, Floats, Floats], None]


def _share_if_bits_agree(product: _Product, W: Floats, x: Floats, S: Floats) -> None:
    T, m, d = W.shape
    if _keeps_bits(product, T, m, d, len(x), W.dtype.str, _threads()):
        product(W, x, S)
        return
    for k in range(T):
        product(W[k : k + 1], x, S[k : k + 1])


def _threads() -> tuple[int, ...]:
    # They decide how a product is split. Reading them takes 1-2 µs.
    return tuple(library.num_threads for library in _BLAS)


def _project(W: Floats, x: Floats, S: Floats, beta: float = 0.0) -> None:
    # BLAS is column-major: the transposes of our arrays have its layout, so nothing is copied.
    rows, out = W.reshape(-1, W.shape[-1]), S.reshape(-1, S.shape[-1])
    _gemm(W)(1.0, x.T, rows.T, beta=beta, c=out.T, trans_a=1, overwrite_c=1)


def _project_added(W: Floats, x: Floats, S: Floats) -> None:
    _project(W, x, S, beta=1.0)


def _descend(W: Floats, x: Floats, D: Floats) -> None:
    # With any β but 1 the BLAS would pass over all of W once more before it multiplies.
    rows, steps = W.reshape(-1, W.shape[-1]), D.reshape(-1, D.shape[-1])
    _gemm(W)(-1.0, x.T, steps.T, beta=1.0, c=rows.T, overwrite_c=1)


def _gemm(like: Floats) -> Any:
    return get_blas_funcs("gemm", dtype=like.dtype)


_TILES = (1, 4, 8, 12, 16, 24, 32)
"""Possible numbers of rows in a tile of a BLAS."""
_LARGE = 600
"""A trial with more rows than this fills the products alone: it is not padded."""
_WIDTHS, _INPUTS, _IMAGES = (2, 3), 512, 200
"""T, d and b to test a tile with. They are fixed, because small products use other kernels again."""


@cache
def _tile(m: int, dtype: str, threads: tuple[int, ...]) -> int:  # noqa: ARG001 - part of the cache key
    products: tuple[_Product, ...] = (_project, _descend)

    def can_share(tile: int) -> bool:
        rows = -(-m // tile) * tile
        cases = itertools.product(products, _WIDTHS)
        return all(_passes(product, (T, rows, _INPUTS, _IMAGES), dtype, _LEAST_DRAWS) for product, T in cases)

    return 1 if m > _LARGE else next(filter(can_share, _TILES), 1)


@cache
def _keeps_bits(product: _Product, T: int, m: int, d: int, b: int, dtype: str, threads: tuple[int, ...]) -> bool:  # noqa: ARG001 - part of the cache key
    if T == 1:
        return True
    return _passes(product, (T, m, d, b), dtype, min(_LEAST_DRAWS + _SUMS // (T * m * b), _MOST_DRAWS))


_LEAST_DRAWS, _MOST_DRAWS = 2, 200
_SUMS = 100_000
"""Number of sums to compare before a small shape is shared."""


def _passes(product: _Product, shape: tuple[int, int, int, int], dtype: str, draws: int) -> bool:
    rng = np.random.default_rng(0)
    return all(_same_bits(product, *_draw(rng, *shape, dtype)) for _ in range(draws))


def _draw(rng: np.random.Generator, T: int, m: int, d: int, b: int, dtype: str) -> tuple[Floats, Floats, Floats]:
    W, x, S = (rng.standard_normal(shape, np.float32) for shape in ((T, m, d), (b, d), (T, m, b)))
    return W.astype(dtype), x.astype(dtype), S.astype(dtype)


def _same_bits(product: _Product, W: Floats, x: Floats, S: Floats) -> bool:
    W_alone, S_alone = W.copy(), S.copy()
    product(W, x, S)
    for k in range(len(W)):
        product(W_alone[k : k + 1], x, S_alone[k : k + 1])
    return np.array_equal(W, W_alone) and np.array_equal(S, S_alone)
