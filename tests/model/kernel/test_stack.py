import ctypes
import mmap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coarsefine.model.arithmetic import best_arithmetic
from coarsefine.model.datasets import Part
from coarsefine.model.epoch import Epoch, Rates
from coarsefine.model.kernel.library import load
from coarsefine.model.kernel.stack import KernelArithmetic
from coarsefine.model.network import Parameters
from coarsefine.model.sgd import NumpyArithmetic

SIZES = st.tuples(*(st.integers(1, most) for most in (9, 90, 230, 90, 70, 40)))
"""Trials, hidden units, inputs, classes, images, and images of a mini-batch."""


def stack_of(sizes, *, seed, mirror=False, dtype=np.float64):
    """Return parameters, their predecessors, rates and an epoch, all random."""
    trials, hidden, inputs, classes, images, batch = sizes
    rng = np.random.default_rng(seed)
    theta, previous = (
        Parameters.draw([int(each) for each in rng.integers(0, 1000, trials)], inputs, hidden, classes, dtype)
        for _ in range(2)
    )
    rates = Rates(rng.uniform(0.001, 0.02, trials), rng.uniform(0, 0.01, trials), rng.uniform(0, 0.9, trials))
    x = rng.standard_normal((images + 3, inputs)).astype(np.float32)
    part = Part(x, rng.integers(0, classes, images + 3))
    row = next(width for width in (5, 4, 3, 2, 1) if inputs % width == 0)
    mirrored = rng.random(images) < 0.5 if mirror else None
    return theta, previous, rates, Epoch(part, rng.permutation(images + 3)[:images], mirrored, row, batch)


@settings(max_examples=150)
@given(sizes=SIZES, seed=st.integers(0, 2**16), threads=st.integers(1, 3), mirror=st.booleans())
def test_kernel_computes_what_the_equations_say(sizes, seed, threads, mirror):
    """In float64, an epoch and an evaluation agree with NumPy to 1e-12 for any sizes."""
    theta, previous, rates, epoch = stack_of(sizes, seed=seed, mirror=mirror)
    plain = [array.copy() for array in (theta, previous)]
    kernel = best_arithmetic(threads)
    losses = kernel.train_epoch(theta, previous, rates, epoch)
    np.testing.assert_allclose(losses, NumpyArithmetic().train_epoch(*plain, rates, epoch), rtol=1e-12)
    for found, expected in zip((theta, previous), plain, strict=True):
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * max(1, np.abs(theirs).max()))
    measured, expected = (each.evaluate(theta, epoch.part) for each in (kernel, NumpyArithmetic()))
    np.testing.assert_allclose(measured[0], expected[0], rtol=1e-12)
    assert np.array_equal(measured[1], expected[1])


def test_denormal_numbers_count_as_zero_during_a_call_alone():
    """Weights that would be denormal become zero, and Python's own arithmetic keeps its denormal numbers."""
    theta, previous, rates, epoch = stack_of((2, 5, 7, 3, 20, 10), seed=0, dtype=np.float32)
    for array in (*theta, *previous):
        array[...] = 1e-40
    best_arithmetic().train_epoch(theta, previous, rates, epoch)
    assert not theta.W1.any()
    assert np.float32(1e-40) * np.float32(1) != 0


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
def test_trials_that_are_not_finite_have_losses_that_are_not(value):
    """A weight that is not finite makes the trial's loss NaN, and changes nothing of its neighbours."""
    clean, spoilt = (stack_of((3, 20, 30, 4, 40, 10), seed=1) for _ in range(2))
    spoilt[0].W1[1, 3, 4] = value
    expected, found = (best_arithmetic().train_epoch(*each) for each in (clean, spoilt))
    assert np.isnan(found[1])
    assert np.array_equal(found[[0, 2]], expected[[0, 2]])
    assert np.array_equal(spoilt[0].W1[[0, 2]], clean[0].W1[[0, 2]])


class Guarded:
    """Arrays that end at a page that may not be touched."""

    def __init__(self):
        self._pages = []

    def array(self, like):
        """Return a copy of an array; the byte after it belongs to the forbidden page."""
        size = -(-like.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        pages = mmap.mmap(-1, size + mmap.PAGESIZE)
        self._pages.append(pages)
        address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        assert protect(ctypes.c_void_p(address + size), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
        count = like.size
        copy = np.frombuffer(pages, like.dtype, count, size - like.nbytes).reshape(like.shape)
        copy[...] = like
        return copy


@pytest.mark.parametrize("sizes", [(5, 50, 200, 10, 70, 32), (1, 1, 1, 1, 1, 1), (3, 17, 97, 65, 33, 7)], ids=str)
def test_kernel_stays_within_its_arrays(sizes, monkeypatch):
    """No array is read or written past its end, in training and in evaluation."""
    guarded = Guarded()
    for dtype in (np.float32, np.float64):
        theta, previous, rates, epoch = stack_of(sizes, seed=2, mirror=True, dtype=dtype)
        theta, previous = (Parameters(*map(guarded.array, half)) for half in (theta, previous))
        part = Part(guarded.array(epoch.part.x), guarded.array(epoch.part.y))
        order, mirrored = guarded.array(epoch.order), guarded.array(epoch.mirrored)
        rates = Rates(*(guarded.array(getattr(rates, name)) for name in ("eta", "lam", "rho")))
        kernel = KernelArithmetic(load(), threads=2)
        monkeypatch.setattr(
            KernelArithmetic, "_aligned", lambda _, size: guarded.array(np.zeros(size, np.uint8)).ctypes.data
        )
        assert np.isfinite(
            kernel.train_epoch(theta, previous, rates, Epoch(part, order, mirrored, 1, epoch.batch))
        ).all()
        assert np.isfinite(kernel.evaluate(theta, part)[0]).all()
