"""The number of trials to train together: enough to fill the matrix products, and few enough to stay in the cache.

Share of one core's sgemm peak on 20,000 × 3,072 images, m = 50, batch 100 (AMD Zen 4, 32 MiB of L3 cache, median of 5):
0.67 for T = 4, 0.73 for 8, 0.76 for 12, 0.77 for 16, 0.77 for 25, 0.78 for 50.
"""

from pathlib import Path

import numpy as np

from coarsefine.model.hyperparameters import TrainingSettings

_ROWS = 600
"""Rows T·m above which the products are near their best speed."""
_MOST = 64
"""Largest stack: more trials gain nothing, however small they are."""
_CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
_USUAL_CACHE = 16 * 2**20


def fitting_width(settings: TrainingSettings, d: int) -> int:
    """Return the number of trials whose two buffers of W1, for images of d pixels, take half the L3 cache.

    If that is too few to fill the products, return the number that fills them.
    """
    trial = 2 * settings.hidden * d * np.dtype(settings.precision).itemsize
    least = -(-_ROWS // settings.hidden)
    return max(1, min(max(last_level_cache() // 2 // trial, least), _MOST))


def last_level_cache() -> int:
    """Return the size of this machine's L3 cache in bytes, or a usual size if it is unknown."""
    try:
        text = _CACHE.read_text("ascii").strip()
        return int(text.removesuffix("K")) * 1024
    except (OSError, ValueError):
        return _USUAL_CACHE
