"""The kernel's calls: train a stack of trials for an epoch, and evaluate it.

`source/kernel.c` says how it works. Its functions read and write the arrays of `Parameters` in place, and release
Python's lock while they run. They return to Python every few hundredths of a second, so that signals are handled.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from coarsefine.model.datasets import Part
from coarsefine.model.kernel.library import Library
from coarsefine.model.network import Parameters
from coarsefine.model.sgd import Epoch, Rates

_EVALUATED = 128
"""Images that are evaluated together."""
_OPERATIONS = 4e9
"""Floating-point operations of one call, about: 0.05 s."""
_CACHE_LINE = 64


class _Stack(ctypes.Structure):
    """`struct stack` of `source/kernel.c`."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("T", "m", "d", "C", "batch", "n", "threads", "row")),
        *(
            (name, ctypes.c_void_p)
            for name in (
                "W1", "b1", "W2", "b2", "W1_prev", "b1_prev", "W2_prev", "b2_prev", "eta", "lam", "rho", "x", "y",
                "order", "mirrored", "losses", "hits", "memory",
            )  # fmt: skip
        ),
    )
