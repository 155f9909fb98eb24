"""Profile Coarsefine's training with the kernel: clocks around its calls, and differences between trainings.

The kernel has no clocks. Its second layer is what remains of a step when the images have a single pixel; what the
mini-batches cost is found from two small networks, one of twice the size, as the time that does not grow with the rows.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any
from unittest.mock import patch

from benchmarks.contenders.coarsefine import Coarsefine
from benchmarks.task import PIXELS, Arrays, Task
from coarsefine.model.epoch import Epoch
from coarsefine.model.kernel import stack

_ROWS = 64
"""Rows of the smaller network. The larger one has twice as many, in twice as many chunks."""
_IMAGES, _REPEATED = 2000, 7
"""Images of the small networks' trainings, and how often each is repeated."""


class Profiled:
    """Answer the parent's requests: seconds of an epoch by part, and GF/s of the two large products."""

    def __init__(self, task: Task, width: int) -> None:
        arrays = Arrays.load(task.arrays, task.images)
        self._task, self._width = task, width
        self._whole = _begun(task, arrays, width=width)
        self._no_pixels = _begun(task, _narrow(arrays), width=width)
        some = _first(arrays, _IMAGES)
        self._small = [
            tuple(_begun(task, images, width=1, hidden=rows) for rows in (_ROWS, 2 * _ROWS))
            for images in (some, _narrow(some))
        ]
        self._images = len(some.y)

    def warm(self) -> dict[str, Any]:
        """Do nothing: the first epochs have been trained already."""
        return {}

    def round(self) -> dict[str, Any]:
        """Return each part's share of an epoch, and the products' speed."""
        began = time.perf_counter()
        calls = _seconds_of_calls(self._whole)
        whole = time.perf_counter() - began
        layer2 = _seconds_of_calls(self._no_pixels)["train"]
        batches = self._constant(*self._small[0]) - self._constant(*self._small[1])
        batches = max(0.0, batches) * self._task.images / self._images
        products = calls["train"] - layer2 - batches
        parts = {
            "step and projection": products,
            "second layer, losses": layer2,
            "mini-batches, whatever the trials": batches,
            "evaluation": calls["begin to evaluate"] + calls["evaluate"],
            "weights into the kernel's layout and back": calls["begin"] + calls["finish"],
            "drawing the order": calls["order"],
        }
        shares = {part: seconds / whole for part, seconds in parts.items()}
        shares["everything else"] = 1 - sum(shares.values())
        flops = 4.0 * self._task.images * self._width * self._task.hidden * PIXELS
        return {"shares": shares, "speeds": {"step and projection": flops / products / 1e9}}

    @staticmethod
    def _constant(one: Coarsefine, two: Coarsefine) -> float:
        """Return the seconds of an epoch that do not grow with the rows, from a network and one of twice its size."""
        pairs = [(_seconds_of_calls(one)["train"], _seconds_of_calls(two)["train"]) for _ in range(_REPEATED)]
        return median(2 * first - second for first, second in pairs)


def _begun(task: Task, arrays: Arrays, **way: int) -> Coarsefine:
    """Return a training after its first epoch."""
    contender = Coarsefine(task, arrays)
    contender.begin(way)
    contender.epoch()
    return contender


def _first(arrays: Arrays, n: int) -> Arrays:
    return Arrays(arrays.x[:n], arrays.y[:n], arrays.x_validation, arrays.y_validation)


def _narrow(arrays: Arrays) -> Arrays:
    """Return the first pixel of each image."""
    x, x_validation = arrays.x[:, :1].copy(), arrays.x_validation[:, :1].copy()
    return Arrays(x, arrays.y, x_validation, arrays.y_validation)


def _seconds_of_calls(contender: Coarsefine) -> dict[str, float]:
    """Train an epoch; return the seconds of each of the kernel's functions, and of drawing the order."""
    seconds: dict[str, float] = defaultdict(float)
    with _clocks(seconds):
        contender.epoch()
    return seconds


@contextmanager
def _clocks(seconds: dict[str, float]) -> Iterator[None]:
    call, draw = stack._Call.__call__, Epoch.draw  # noqa: SLF001 - nothing else sees the kernel's functions

    def timed_call(self: stack._Call, name: str, *arguments: int) -> int:
        evaluates = name == "begin" and not self.stack.W1_prev
        with _clock(seconds, "begin to evaluate" if evaluates else name):
            return call(self, name, *arguments)

    def timed_draw(*arguments: Any) -> Epoch:
        with _clock(seconds, "order"):
            return draw(*arguments)

    with patch.object(stack._Call, "__call__", timed_call), patch.object(Epoch, "draw", timed_draw):  # noqa: SLF001
        yield


@contextmanager
def _clock(seconds: dict[str, float], part: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[part] += time.perf_counter() - began
