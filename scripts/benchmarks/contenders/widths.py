"""Coarsefine's training with several numbers of trials at once, on the same images."""

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.contenders.coarsefine import Coarsefine
from benchmarks.task import Arrays, Task


class Widths:
    """Answer the parent's requests: each round times some epochs of a stack of each width."""

    def __init__(self, task: Task, widths: Sequence[int], epochs: int, threads: int = 1) -> None:
        arrays = Arrays.load(task.arrays, task.images)
        self._epochs = epochs
        self._stacks = {width: Coarsefine(task, arrays) for width in widths}
        for width, stack in self._stacks.items():
            stack.begin({"width": width, "threads": threads})

    def warm(self) -> dict[str, Any]:
        """Train the first epoch of each stack, which is not timed."""
        for stack in self._stacks.values():
            stack.epoch()
        return {}

    def round(self) -> dict[str, float]:
        """Return the seconds of an epoch of one trial, by width."""
        return {str(width): self._seconds(stack) / width for width, stack in self._stacks.items()}

    def _seconds(self, stack: Coarsefine) -> float:
        began = time.perf_counter()
        for _ in range(self._epochs):
            stack.epoch()
        return (time.perf_counter() - began) / self._epochs
