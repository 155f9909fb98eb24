"""Coarsefine's training without storage: `coarsefine.model.Training`."""

from typing import ClassVar

from threadpoolctl import threadpool_limits

from benchmarks.contenders.network import Way
from benchmarks.task import Arrays, Task
from coarsefine.model import Hyperparameters, Training, TrainingSettings


class Coarsefine:
    """A stack of trials with equal points and the seeds 0, 1, 2 and so on."""

    ways: ClassVar[list[Way]] = [{"width": width} for width in (16, 8, 12, 32)]

    def __init__(self, task: Task, arrays: Arrays) -> None:
        threadpool_limits(1)
        self._task, self._data = task, arrays.dataset(len(arrays.y))

    def begin(self, way: Way) -> None:
        """Start a stack; `way` may set another number of hidden units, and a number of threads."""
        t = self._task
        trials = [Hyperparameters(t.eta, t.lam, seed, t.rho, decay=1.0) for seed in range(way["width"])]
        settings = TrainingSettings(hidden=way.get("hidden", t.hidden), batch=t.batch, epochs=1000)
        self._training = Training.start(trials, settings, self._data, threads=way.get("threads", 1))

    def epoch(self) -> list[float]:
        """Train and evaluate."""
        return [report.train_loss for report in self._training.run_epoch()]
