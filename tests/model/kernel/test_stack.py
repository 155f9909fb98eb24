import ctypes
import dataclasses
import mmap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coarsefine.model.datasets import Part
from coarsefine.model.epoch import Epoch, Rates
from coarsefine.model.kernel.instruction_sets import instruction_sets_of
from coarsefine.model.kernel.library import open_library
from coarsefine.model.kernel.stack import KernelArithmetic
from coarsefine.model.network import Parameters
from coarsefine.model.sgd import NumpyArithmetic

LIBRARIES = [library for each in instruction_sets_of() if (library := open_library(each.name)) is not None]
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


def kernel(threads=1):
    """Return the kernel of the fastest library."""
    return KernelArithmetic(LIBRARIES[0], threads)


def copies(*halves):
    return [Parameters(*(array.copy() for array in half)) for half in halves]


@settings(max_examples=100)
@given(sizes=SIZES, seed=st.integers(0, 2**16), threads=st.integers(1, 3), mirror=st.booleans())
def test_kernel_computes_what_the_equations_say(sizes, seed, threads, mirror):
    """In float64, an epoch and an evaluation agree with NumPy to 1e-12 for any sizes, and all libraries to the bit."""
    theta, previous, rates, epoch = stack_of(sizes, seed=seed, mirror=mirror)
    plain = copies(theta, previous)
    losses = NumpyArithmetic().train_epoch(*plain, rates, epoch)
    measured = NumpyArithmetic().evaluate(plain[0], epoch.part)
    results = []
    for library in LIBRARIES:
        arithmetic, halves = KernelArithmetic(library, threads), copies(theta, previous)
        np.testing.assert_allclose(arithmetic.train_epoch(*halves, rates, epoch), losses, rtol=1e-12)
        for found, expected in zip(halves, plain, strict=True):
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * max(1, np.abs(theirs).max()))
        loss, hits = arithmetic.evaluate(halves[0], epoch.part)
        np.testing.assert_allclose(loss, measured[0], rtol=1e-12)
        assert np.array_equal(hits, measured[1])
        results.append(b"".join(array.tobytes() for array in (*halves[0], *halves[1], loss)))
    assert len(set(results)) == 1


@settings(max_examples=30)
@given(sizes=SIZES, seed=st.integers(0, 2**16))
def test_trial_has_the_same_bits_alone_and_in_a_stack_of_any_size(sizes, seed):
    """In float32, each trial of a stack ends with the bits that it has alone."""
    theta, previous, rates, epoch = stack_of(sizes, seed=seed, dtype=np.float32)
    together = copies(theta, previous)
    losses = kernel(2).train_epoch(*together, rates, epoch)
    for k in range(len(losses)):
        alone = theta.select([k]), previous.select([k])
        own = Rates(rates.eta[[k]], rates.lam[[k]], rates.rho[[k]])
        assert kernel().train_epoch(*alone, own, epoch)[0] == losses[k]
        for one, all_of_them in zip(alone, together, strict=True):
            assert all(np.array_equal(a[0], b[k]) for a, b in zip(one, all_of_them, strict=True))


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.instruction_set)
def test_weights_of_dead_units_become_zero(library):
    """Weights on which only the penalty acts shrink to zero, and no number remains that would soon be denormal."""
    theta, previous, rates, epoch = stack_of((3, 20, 97, 4, 40, 8), seed=3, dtype=np.float32)
    for half in (theta, previous):
        half.b1[...] = -1000  # no image reaches a unit
    rates = dataclasses.replace(rates, eta=np.full(3, 0.5), lam=np.array([0.2, 0.25, 0.4]), rho=np.zeros(3))
    arithmetic, found = KernelArithmetic(library), []
    for _ in range(60):
        arithmetic.train_epoch(theta, previous, rates, epoch)
        found.append(theta.W1.copy())
    sizes = np.abs(found)
    assert found[0].all()
    assert not found[-1].any()
    assert sizes[sizes > 0].min() >= 2.0**-63


def test_denormal_numbers_of_python_stay():
    """After a call, Python's own arithmetic keeps its denormal numbers."""
    kernel().train_epoch(*stack_of((2, 5, 7, 3, 20, 10), seed=0, dtype=np.float32))
    assert np.float32(1e-40) * np.float32(1) != 0


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
def test_trials_that_are_not_finite_have_losses_that_are_not(value):
    """A weight that is not finite makes the trial's loss NaN, and changes nothing of its neighbours."""
    clean, spoilt = (stack_of((3, 20, 30, 4, 40, 10), seed=1) for _ in range(2))
    spoilt[0].W1[1, 3, 4] = value
    expected, found = (kernel().train_epoch(*each) for each in (clean, spoilt))
    assert np.isnan(found[1])
    assert np.array_equal(found[[0, 2]], expected[[0, 2]])
    assert np.array_equal(spoilt[0].W1[[0, 2]], clean[0].W1[[0, 2]])


def test_other_types_and_layouts_are_converted():
    """Whole numbers as rates, strided images and small labels train like what they are equal to."""
    theta, previous, _, epoch = stack_of((2, 5, 6, 3, 20, 10), seed=0)
    ones = np.ones(2)
    expected = kernel().train_epoch(*copies(theta, previous), Rates(ones, ones * 0, ones), epoch)
    whole = np.ones(2, np.int64)
    wide = np.zeros((len(epoch.part.x), 12))
    wide[:, ::2] = epoch.part.x
    other = dataclasses.replace(epoch, part=Part(wide[:, ::2], epoch.part.y.astype(np.uint8)))
    found = kernel().train_epoch(*copies(theta, previous), Rates(whole, whole * 0, whole), other)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda part: {"part": Part(part.x[:, :5], part.y)}, r"x is \(23, 5\) instead of \(23, 6\)"),
        (lambda part: {"part": Part(part.x, part.y + 1)}, "labels are 1 to 3: the network has the classes 0 to 2"),
        (lambda part: {"part": Part(part.x, part.y - 1)}, "labels are -1 to 1"),
        (lambda _: {"row": 4}, "row is 4: 6 inputs cannot be divided"),
        (lambda _: {"row": 0}, "row is 0"),
        (lambda _: {"order": np.array([0, 23])}, "order is 0 to 23: there are the images 0 to 22"),
        (lambda _: {"mirrored": np.ones(3, np.bool_)}, r"mirrored is \(3,\) instead of \(20,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(spoil, message):
    """Arrays that would be read past their ends are refused with a sentence."""
    theta, previous, rates, epoch = stack_of((2, 5, 6, 3, 20, 10), seed=0)
    with pytest.raises(ValueError, match=message):
        kernel().train_epoch(theta, previous, rates, dataclasses.replace(epoch, **spoil(epoch.part)))


@pytest.mark.parametrize("threads", [0, -1, 257])
def test_impossible_numbers_of_threads_are_refused(threads):
    """The number of threads is 1 to 256."""
    with pytest.raises(ValueError, match=f"threads is {threads}: give 1 to 256"):
        kernel(threads)


def test_parameters_that_cannot_be_written_are_refused():
    """Parameters are trained in place, so a strided or a read-only array is refused; it can be evaluated."""
    theta, previous, rates, epoch = stack_of((2, 5, 6, 3, 20, 10), seed=0)
    expected = kernel().evaluate(theta, epoch.part)
    strided = theta._replace(W1=np.asfortranarray(theta.W1))
    theta.b1.flags.writeable = False
    for each, name in ((strided, "W1"), (theta, "b1")):
        with pytest.raises(ValueError, match=f"{name} must be a contiguous array that can be written"):
            kernel().train_epoch(each, previous, rates, epoch)
        assert np.array_equal(kernel().evaluate(each, epoch.part)[0], expected[0])


def test_no_trials_and_no_images_are_nothing():
    """A stack without trials has no losses, and no images have none."""
    theta, previous, _, epoch = stack_of((2, 5, 6, 3, 20, 10), seed=0)
    nobody = [half.select([]) for half in (theta, previous)]
    assert kernel().train_epoch(*nobody, Rates(*(np.zeros(0),) * 3), epoch).shape == (0,)
    empty = Part(epoch.part.x[:0], epoch.part.y[:0])
    assert [*kernel().evaluate(theta, empty)[0]] == [0, 0]


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
        monkeypatch.setattr(
            KernelArithmetic, "_aligned", lambda _, size: guarded.array(np.zeros(size, np.uint8)).ctypes.data
        )
        assert np.isfinite(
            kernel(2).train_epoch(theta, previous, rates, Epoch(part, order, mirrored, 1, epoch.batch))
        ).all()
        assert np.isfinite(kernel(2).evaluate(theta, part)[0]).all()
