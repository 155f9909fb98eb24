"""Train and evaluate stacks with the kernel, whose `source/kernel.c` explains how it works."""

import ctypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from coarsefine.model.datasets import Part
from coarsefine.model.epoch import Epoch, Rates
from coarsefine.model.kernel.library import Library
from coarsefine.model.network import Floats, Parameters

_SIZES = ("T", "m", "d", "C", "batch", "n", "threads", "row")
_ARRAYS = (
    "W1", "b1", "W2", "b2", "W1_prev", "b1_prev", "W2_prev", "b2_prev", "eta", "lam", "rho", "x", "y", "order",
    "mirrored", "losses", "hits", "memory",
)  # fmt: skip
_EVALUATED = 128
"""Images that are evaluated together."""
_OPERATIONS = 4e9
"""Floating-point operations of one call at most, about: in between, Python handles signals."""
_CACHE_LINE = 64


class _Stack(ctypes.Structure):
    """`struct stack` of `source/kernel.c`."""

    _fields_ = (*((name, ctypes.c_int64) for name in _SIZES), *((name, ctypes.c_void_p) for name in _ARRAYS))


@dataclass(slots=True)
class KernelArithmetic:
    """Trains all trials of a stack together. A trial's bits depend on its own numbers alone, on every processor."""

    library: Library
    threads: int = 1
    """Threads that share the rows of W1; they change no bit."""
    _memory: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def train_epoch(self, theta: Parameters, previous: Parameters, rates: Rates, epoch: Epoch) -> Floats:
        """Train an epoch in place; return each trial's sum of the cross-entropy (T,), float64."""
        part, losses = epoch.part, np.zeros(len(theta.W1))
        arrays = {name + "_prev": array for name, array in previous._asdict().items()}
        arrays |= {"eta": rates.eta, "lam": rates.lam, "rho": rates.rho, "order": epoch.order, "losses": losses}
        if epoch.mirrored is not None:
            arrays["mirrored"] = epoch.mirrored
        call = self._prepared(theta, part, arrays, batch=epoch.batch, n=len(epoch.order), row=epoch.row)
        for first, last in call.slices():
            call("train", first, last)
        call("finish", call.steps)
        return losses

    def evaluate(self, theta: Parameters, part: Part) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Return each trial's sum of the cross-entropy (T,), float64, and its number of hits (T,)."""
        T, n = len(theta.W1), len(part.y)
        losses, hits = np.zeros(T), np.zeros(T, np.int64)
        call = self._prepared(theta, part, {"losses": losses, "hits": hits}, batch=min(n, _EVALUATED), n=n, row=1)
        for first, last in call.slices():
            call("evaluate", first, last)
        return losses, hits

    def _prepared(self, theta: Parameters, part: Part, arrays: Mapping[str, npt.NDArray[Any]], **sizes: int) -> "_Call":
        """Return the functions for a stack, whose parameters are read."""
        T, m, d = theta.W1.shape
        arrays = {**theta._asdict(), "x": part.x, "y": part.y, **arrays}
        kept = {name: np.require(array, requirements="C") for name, array in arrays.items()}
        addresses = {name: array.ctypes.data for name, array in kept.items()}
        stack = _Stack(T=T, m=m, d=d, C=theta.W2.shape[1], threads=self.threads, **sizes, **addresses)
        call = _Call(self.library.functions, "float" if theta.W1.dtype == np.float32 else "double", stack, kept)
        stack.memory = self._aligned(call("memory_needed"))
        call("begin")
        return call

    def _aligned(self, size: int) -> int:
        """Return the address of `size` bytes on a cache line; the same ones for each call that fits."""
        if len(self._memory) < size + _CACHE_LINE:
            self._memory = np.empty(size + _CACHE_LINE, np.uint8)
        return -(-self._memory.ctypes.data // _CACHE_LINE) * _CACHE_LINE


@dataclass(frozen=True, slots=True)
class _Call:
    """The library's functions for one stack in its precision."""

    functions: ctypes.CDLL
    precision: str
    stack: _Stack
    arrays: Mapping[str, npt.NDArray[Any]]
    """The arrays whose addresses the stack has: they must live as long."""

    def __call__(self, name: str, *arguments: int) -> int:
        function = getattr(self.functions, f"{name}_{self.precision}")
        function.restype = ctypes.c_int64
        result: int = function(ctypes.byref(self.stack), *map(ctypes.c_int64, arguments))
        return result

    @property
    def steps(self) -> int:
        """Return the number of mini-batches."""
        steps: int = -(-self.stack.n // self.stack.batch)
        return steps

    def slices(self) -> Iterator[tuple[int, int]]:
        """Return the first and the last step of each call."""
        stack = self.stack
        each = max(1, int(_OPERATIONS // (4 * stack.T * stack.m * stack.d * stack.batch)))
        for first in range(0, self.steps, each):
            yield first, min(first + each, self.steps)
