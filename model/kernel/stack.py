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
_PARAMETERS = ("W1", "b1", "W2", "b2")
_PREVIOUS = tuple(f"{name}_prev" for name in _PARAMETERS)
_TYPES = {
    "eta": np.float64, "lam": np.float64, "rho": np.float64, "x": np.float32, "y": np.int64, "order": np.int64,
    "mirrored": np.bool_, "losses": np.float64, "hits": np.int64,
}  # fmt: skip
"""The types of the arrays besides the parameters."""
_ARRAYS = (*_PARAMETERS, *_PREVIOUS, *_TYPES, "memory")
_EVALUATION_BATCH = 128
_OPERATIONS = 4e9
"""About how many floating-point operations a call takes, but at least a step. Python handles signals between calls."""
_CACHE_LINE = 64
_MAX_THREADS = 256


class _Stack(ctypes.Structure):
    """`struct stack` of `source/kernel.c`."""

    _fields_ = (*((name, ctypes.c_int64) for name in _SIZES), *((name, ctypes.c_void_p) for name in _ARRAYS))


@dataclass(slots=True)
class KernelArithmetic:
    """Trains all trials of a stack together. A trial's bits depend on its own numbers alone, on every processor.

    An object keeps its memory for the next call, so only one thread may use it at a time. Raises `ValueError` for an
    impossible number of threads; its methods do for arrays that do not fit each other.
    """

    library: Library
    threads: int = 1
    """Threads that share the rows of W1; they change no bit."""
    _memory: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= _MAX_THREADS:
            raise ValueError(f"threads is {self.threads}: give 1 to {_MAX_THREADS}")

    def train_epoch(self, theta: Parameters, previous: Parameters, rates: Rates, epoch: Epoch) -> Floats:
        """Train an epoch in place; return each trial's sum of the cross-entropy (T,), float64."""
        part, n = epoch.part, len(epoch.order)
        losses = np.zeros(len(theta.W1))
        if not losses.size or not n:
            return losses
        arrays = dict(zip(_PREVIOUS, previous, strict=True))
        arrays |= {"eta": rates.eta, "lam": rates.lam, "rho": rates.rho, "order": epoch.order, "losses": losses}
        if epoch.mirrored is not None:
            arrays["mirrored"] = epoch.mirrored
        call = self._begin(theta, part, arrays, batch=min(epoch.batch, n), n=n, row=epoch.row)
        for first, last in call.slices():
            call("train", first, last)
        call("finish", call.steps)
        return losses

    def evaluate(self, theta: Parameters, part: Part) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Return each trial's sum of the cross-entropy (T,), float64, and its number of hits (T,)."""
        T, n = len(theta.W1), len(part.y)
        losses, hits = np.zeros(T), np.zeros(T, np.int64)
        if not T or not n:
            return losses, hits
        call = self._begin(
            theta, part, {"losses": losses, "hits": hits}, batch=min(n, _EVALUATION_BATCH), n=n, row=theta.W1.shape[2]
        )
        for first, last in call.slices():
            call("evaluate", first, last)
        return losses, hits

    def _begin(self, theta: Parameters, part: Part, arrays: Mapping[str, npt.NDArray[Any]], **sizes: int) -> "_Call":
        """Read the parameters into the kernel's memory; return its functions for this stack."""
        T, m, d = theta.W1.shape
        if theta.W1.dtype not in {np.dtype(np.float32), np.dtype(np.float64)}:
            raise ValueError(f"W1 is {theta.W1.dtype}: the kernel trains float32 and float64")
        arrays = {**theta._asdict(), "x": part.x, "y": part.y, **arrays}
        written = "W1_prev" in arrays
        fitting = {name: _fitting(name, array, theta, written=written) for name, array in arrays.items()}
        sizes |= {"T": T, "m": m, "d": d, "C": theta.W2.shape[1], "threads": self.threads}
        _check(sizes, fitting)
        addresses = {name: array.ctypes.data for name, array in fitting.items()}
        precision = "float" if theta.W1.dtype == np.float32 else "double"
        call = _Call(self.library.functions, precision, _Stack(**sizes, **addresses), fitting)
        call.stack.memory = self._aligned(call("memory_needed"))
        call("begin")
        return call

    def _aligned(self, size: int) -> int:
        """Return the address of `size` bytes aligned to a cache line. Memory that is large enough is reused."""
        if len(self._memory) < size + _CACHE_LINE:
            self._memory = np.empty(size + _CACHE_LINE, np.uint8)
        return -(-self._memory.ctypes.data // _CACHE_LINE) * _CACHE_LINE


def _fitting(name: str, array: npt.NDArray[Any], theta: Parameters, *, written: bool) -> npt.NDArray[Any]:
    """Return an array as the kernel reads it: a copy if need be, but never of parameters that are written."""
    if name in _TYPES:
        return np.require(array, _TYPES[name], ("C", "A"))
    like, dtype = getattr(theta, name.removesuffix("_prev")), theta.W1.dtype
    if (array.shape, array.dtype) != (like.shape, dtype):
        raise ValueError(f"{name} is {array.dtype} {array.shape} instead of {dtype} {like.shape}")
    if written and not (array.flags.c_contiguous and array.flags.aligned and array.flags.writeable):
        raise ValueError(f"{name} must be a contiguous array that can be written")
    return np.require(array, dtype, ("C", "A"))


def _check(sizes: Mapping[str, int], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise `ValueError` for arrays that do not fit each other: the kernel would read past their ends."""
    x, y, d, C, row = arrays["x"], arrays["y"], sizes["d"], sizes["C"], sizes["row"]
    if x.shape != (len(y), d):
        raise ValueError(f"x is {x.shape} instead of {(len(y), d)}: {len(y)} labels, and {d} inputs of the network")
    if y.min() < 0 or y.max() >= C:
        raise ValueError(f"labels are {y.min()} to {y.max()}: the network has the classes 0 to {C - 1}")
    if row < 1 or d % row:
        raise ValueError(f"row is {row}: {d} inputs cannot be divided into rows of {row}")
    order = arrays.get("order", np.zeros(1, np.int64))
    if order.min() < 0 or order.max() >= len(y):
        raise ValueError(f"order is {order.min()} to {order.max()}: there are the images 0 to {len(y) - 1}")
    for name, size in {"eta": "T", "lam": "T", "rho": "T", "mirrored": "n"}.items():
        if name in arrays and arrays[name].shape != (sizes[size],):
            raise ValueError(f"{name} is {arrays[name].shape} instead of {(sizes[size],)}")


@dataclass(frozen=True, slots=True)
class _Call:
    """The library's functions for one stack in its precision."""

    functions: ctypes.CDLL
    precision: str
    stack: _Stack
    arrays: Mapping[str, npt.NDArray[Any]]
    """Arrays that `stack` points into, kept so that they are not freed."""

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
