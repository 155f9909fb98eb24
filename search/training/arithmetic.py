"""What decides how a product is rounded on this machine, beside the versions that a campaign is held to."""

import platform
from functools import cache

import numpy as np
from threadpoolctl import threadpool_info


@cache
def arithmetic_name() -> str:
    """Return the processor's kind, the BLAS with its kernels, and the vector instructions that NumPy uses.

    Where two machines have the same, a training gives the same bits on both.
    """
    # Of the BLAS alone, each kind once: other libraries come and go with what a process has imported.
    kinds = {
        (each["internal_api"], each.get("architecture")) for each in threadpool_info() if each["user_api"] == "blas"
    }
    blas = sorted(f"{name} {kernels}" for name, kernels in kinds)
    simd = (np.show_config(mode="dicts") or {}).get("SIMD Extensions", {})
    return "; ".join((platform.machine(), " + ".join(blas), " ".join(simd.get("baseline", []) + simd.get("found", []))))
