"""Coarsefine's training at settings that let hidden units die: their weights decay to denormal numbers."""

import time
from typing import Any

from threadpoolctl import threadpool_limits

from benchmarks.task import Arrays, Task
from coarsefine.model import Hyperparameters, Training, TrainingSettings

_POINTS = ((0.3, 0.01), (0.2, 0.03), (0.25, 0.02), (0.15, 0.03))
"""η and λ within the report's coarse ranges. A dead unit's weights shrink by the factor 1 − 2ηλ/(1 − ρ) a step."""


class Dying:
    """Answer the parent's requests: each round trains a new stack and times every epoch."""

    def __init__(self, task: Task, epochs: int) -> None:
        threadpool_limits(1)
        self._task, self._epochs = task, epochs
        self._data = Arrays.load(task.arrays, task.images).dataset(task.images)

    def round(self) -> dict[str, Any]:
        """Return the seconds of each epoch."""
        trials = [Hyperparameters(eta, lam, seed) for seed, (eta, lam) in enumerate(_POINTS)]
        settings = TrainingSettings(hidden=self._task.hidden, batch=self._task.batch, epochs=self._epochs)
        training = Training.start(trials, settings, self._data)
        return {"seconds": [_seconds(training) for _ in range(self._epochs)], "left": len(training.numbers)}


def _seconds(training: Training) -> float:
    began = time.perf_counter()
    training.run_epoch()
    return time.perf_counter() - began
