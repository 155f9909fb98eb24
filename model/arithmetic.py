"""Choose what trains: the kernel, or NumPy if there is no kernel for this processor."""

import platform
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_info

from coarsefine.model.datasets import Part
from coarsefine.model.epoch import Epoch, Rates
from coarsefine.model.kernel.library import load, why_none
from coarsefine.model.kernel.stack import KernelArithmetic
from coarsefine.model.network import Floats, Parameters
from coarsefine.model.sgd import NumpyArithmetic

KERNEL = "coarsefine kernel 1"
"""Name of the kernel's arithmetic. Increase the number whenever the definition of a sum, and so the bits, change."""
NUMPY = "NumPy"
"""The kind of arithmetic without the kernel."""


class Arithmetic(Protocol):
    """Trains and evaluates stacks of T trials."""

    def train_epoch(self, theta: Parameters, previous: Parameters, rates: Rates, epoch: Epoch) -> Floats:
        """Train an epoch in place; return each trial's sum of the cross-entropy (T,), float64."""

    def evaluate(self, theta: Parameters, part: Part) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Return each trial's sum of the cross-entropy (T,), float64, and its number of hits (T,)."""


def best_arithmetic(threads: int = 1) -> Arithmetic:
    """Return the kernel, or NumPy if there is none.

    `threads` is the kernel's number of threads; results do not depend on it.
    """
    library = load()
    return KernelArithmetic(library, threads) if library is not None else NumpyArithmetic()


def has_kernel() -> bool:
    """Return whether the kernel trains here."""
    return load() is not None


def why_slow() -> str:
    """Return a sentence that says that NumPy trains here, and why; empty if the kernel does."""
    return "" if has_kernel() else f"Training uses NumPy, which is slower than the kernel. {why_none()}"


def instruction_set() -> str:
    """Return the name of the kernel's instruction set on this machine, which no result depends on; empty for NumPy."""
    library = load()
    return "" if library is None else library.instruction_set


def arithmetic_kind() -> str:
    """Return what trains here: the kernel and its version, or NumPy. All trials of a campaign use the same one."""
    return KERNEL if has_kernel() else NUMPY


@cache
def arithmetic_name() -> str:
    """Return what decides how sums are rounded: machines with the same name give the same bits.

    That is the version of the kernel. NumPy's arithmetic is named by the processor type, the BLAS with its kernels, and
    NumPy's vector instructions.
    """
    if has_kernel():
        return KERNEL
    # Only the BLAS, and each kind once: other libraries come and go with what a process has imported.
    found = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
    blas = sorted({f"{pool['internal_api']} {pool.get('architecture')}" for pool in found})
    simd = (np.show_config(mode="dicts") or {}).get("SIMD Extensions", {})
    vectors = " ".join(simd.get("baseline", []) + simd.get("found", []))
    return "; ".join((NUMPY, platform.machine(), " + ".join(blas), vectors))
