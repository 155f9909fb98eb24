"""Profile Coarsefine's training: an epoch with a clock around each of its parts."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast
from unittest.mock import patch

from benchmarks.contenders.coarsefine import Coarsefine
from benchmarks.task import PIXELS, Arrays, Task

_PARTS = {
    "W1·x": "coarsefine.model.sgd.project",
    "D·x, added to W1": "coarsefine.model.sgd.descend",
    "adding θ to θ_prev": "coarsefine.model.sgd._add_scaled",
    "gathering mini-batches": "coarsefine.model.training.Batch.gather",
    "softmax, W2, ReLU forward": "coarsefine.model.training.activate",
    "W2 and ReLU backward": "coarsefine.model.sgd.backward",
    "evaluation": "coarsefine.model.training.evaluate",
}
"""The functions called during an epoch. A clock costs about a microsecond; the parts take hundreds."""


class Profiled:
    """Answer the parent's requests: seconds of an epoch by part, and GF/s of the two large products."""

    def __init__(self, task: Task, width: int) -> None:
        arrays = Arrays.load(task.arrays, task.images)
        self._contender = Coarsefine(task, arrays)
        self._contender.begin({"width": width})
        self._contender.epoch()
        self._flops = 2.0 * task.images * width * task.hidden * PIXELS

    def warm(self) -> dict[str, Any]:
        """Do nothing: the first epoch has been trained already."""
        return {}

    def round(self) -> dict[str, Any]:
        """Return each part's share of an epoch, and the products' speed."""
        seconds: dict[str, float] = defaultdict(float)
        with _clocks(seconds):
            began = time.perf_counter()
            self._contender.epoch()
            whole = time.perf_counter() - began
        shares = {part: seconds[part] / whole for part in _PARTS}
        shares["everything else"] = 1 - sum(shares.values())
        speeds = {part: self._flops / seconds[part] / 1e9 for part in list(_PARTS)[:2]}
        return {"shares": shares, "speeds": speeds}


@contextmanager
def _clocks(seconds: dict[str, float]) -> Iterator[None]:
    patches = [patch(where, _clocked(_found(where), part, seconds)) for part, where in _PARTS.items()]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


def _found(where: str) -> Callable[..., Any]:
    module, *names = where.removeprefix("coarsefine.model.").split(".")
    found: Any = import_module(f"coarsefine.model.{module}")
    for name in names:
        found = getattr(found, name)
    return cast("Callable[..., Any]", found)


def _clocked(work: Callable[..., Any], part: str, seconds: dict[str, float]) -> Callable[..., Any]:
    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        result = work(*arguments, **options)
        seconds[part] += time.perf_counter() - began
        return result

    return timed
