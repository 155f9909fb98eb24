"""The protocol of contenders that train networks, and how they are timed: the fastest of their ways, epoch by epoch."""

import math
import time
from collections.abc import Sequence
from statistics import fmean
from typing import Any, ClassVar, Protocol

from benchmarks.task import Arrays, Task

Way = dict[str, Any]
"""Options of a contender; `width` is the number of trials it trains at once."""


class Contender(Protocol):
    """One library that trains the network."""

    ways: ClassVar[list[Way]]
    """The options that its users would try, the best guess first."""

    def __init__(self, task: Task, arrays: Arrays) -> None:
        """Keep the images."""

    def begin(self, way: Way) -> None:
        """Draw fresh weights for `way["width"]` trials."""

    def epoch(self) -> Sequence[float]:
        """Train an epoch, measure validation accuracy; return each trial's mean training loss in that epoch."""


class Timed:
    """Answer the parent's requests: tune, warm up, and time epochs."""

    def __init__(self, kind: type[Contender], task: Task, tuning_images: int) -> None:
        self._kind, self._task = kind, task
        self._arrays = Arrays.load(task.arrays, task.images)
        self._way = kind.ways[0]
        self._tuning_images = min(tuning_images, task.images)
        self._contender: Contender | None = None

    def tune(self, **_: Any) -> dict[str, Any]:
        """Try every way on part of the images, and keep the fastest."""
        a, n = self._arrays, self._tuning_images
        some = Arrays(a.x[:n], a.y[:n], a.x_validation, a.y_validation)
        contender = self._kind(self._task, some)
        tried = [{**way, **_try(contender, way)} for way in self._kind.ways]
        fit = [(trial["seconds"], place) for place, trial in enumerate(tried) if "seconds" in trial]
        self._way = self._kind.ways[min(fit)[1]]
        return {"tried": tried, "images": n}

    def warm(self, way: Way | None = None, images: int | None = None) -> dict[str, Any]:
        """Start again, and train the first epoch, which is not timed; return its loss."""
        self._way = way or self._way
        a, n = self._arrays, images or self._task.images
        self._contender = self._kind(self._task, Arrays(a.x[:n], a.y[:n], a.x_validation, a.y_validation))
        self._contender.begin(self._way)
        loss = fmean(self._contender.epoch())
        if not math.isfinite(loss):
            raise ValueError(f"its training loss is {loss} after an epoch")
        return {"loss": loss, "way": self._way}

    def round(self, **_: Any) -> dict[str, Any]:
        """Time one more epoch."""
        assert self._contender is not None, "warm comes before round"  # noqa: S101
        began = time.perf_counter()
        self._contender.epoch()
        return {"seconds": time.perf_counter() - began, "units": self._way["width"]}


def _try(contender: Contender, way: Way) -> dict[str, Any]:
    """Return the seconds per trial of a second epoch, or why there is none."""
    try:
        contender.begin(way)
        contender.epoch()
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            contender.epoch()
            seconds.append(time.perf_counter() - began)
    except Exception as error:  # noqa: BLE001 - a library's compiler may fail in its own way; the table says so
        return {"failed": str(error).partition("\n")[0] or type(error).__name__}
    return {"seconds": min(seconds) / way["width"]}
