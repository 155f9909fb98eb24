"""How many trials train together: wide enough to fill the products, few enough to stay in the cache.

Measured on 20,000 × 3,072 images, m = 50, batch 100, as share of one core's sgemm peak (AMD Zen 4, 32 MiB of L3 cache,
median of 5): T = 4 0.67, 8 0.73, 12 0.76, 16 0.77, 25 0.77, 50 0.78.
"""

from pathlib import Path

import numpy as np

from coarsefine.model.hyperparameters import TrainingSettings

_ROWS = 600
"""Rows T·m from which on the products are near their best."""
_MOST = 64
"""More trials than this gain nothing, even where they are small."""
_CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
_USUAL_CACHE = 16 * 2**20


def fitting_width(settings: TrainingSettings, d: int) -> int:
    """Return the number of trials to stack for images of d pixels: their two buffers of W1 take half the L3 cache.

    Where that is too few to fill the products, as many as fill them.
    """
    trial = 2 * settings.hidden * d * np.dtype(settings.precision).itemsize
    least = -(-_ROWS // settings.hidden)
    return max(1, min(max(last_level_cache() // 2 // trial, least), _MOST))


def last_level_cache() -> int:
    """Return the bytes of this machine's L3 cache where it tells, else a usual size."""
    try:
        text = _CACHE.read_text("ascii").strip()
        return int(text.removesuffix("K")) * 1024
    except (OSError, ValueError):
        return _USUAL_CACHE
