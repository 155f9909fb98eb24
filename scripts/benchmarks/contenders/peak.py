"""Measure the core's peak: single-precision products of large square matrices by the BLAS of NumPy and of SciPy."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg.blas import sgemm
from threadpoolctl import threadpool_info, threadpool_limits


class Peak:
    """Answer the parent's requests: GF/s of one product by each library."""

    def __init__(self, size: int) -> None:
        threadpool_limits(1)
        a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
        c = np.empty_like(a)
        A, B, C = (np.asfortranarray(array) for array in (a, b, c))
        self._flops = 2.0 * size**3
        self._products: dict[str, Callable[[], Any]] = {
            "numpy": lambda: np.matmul(a, b, out=c),
            "scipy": lambda: sgemm(1.0, A, B, beta=0.0, c=C, overwrite_c=1),
        }

    def warm(self) -> dict[str, Any]:
        """Run each product once; return the name of each BLAS."""
        self.round()
        kept = ("internal_api", "version", "architecture", "num_threads")
        return {"blas": {_owner(each["filepath"]): {k: each.get(k) for k in kept} for each in threadpool_info()}}

    def round(self) -> dict[str, Any]:
        """Return GF/s of each library."""
        rates = {}
        for name, product in self._products.items():
            began = time.perf_counter()
            product()
            rates[name] = self._flops / (time.perf_counter() - began) / 1e9
        return rates


def _owner(path: str) -> str:
    """Return the package that ships a library, or the library's own name."""
    folder = Path(path).parent.name
    return folder.removesuffix(".libs") if folder.endswith(".libs") else Path(path).name
