"""PyTorch, one trial at a time: alone, and as users of Optuna run it.

`fused=True` is the fastest of the optimiser's implementations (by 4 %); a buffer for the mini-batch avoids an
allocation in every step (15 %). Tried, and no faster: `torch.compile` of the model, gradients zeroed instead of
dropped, and mini-batches split from a shuffled copy of all images (a third slower).
"""

import math
import time
from typing import Any, ClassVar

import optuna
import torch
from torch.nn import functional

from benchmarks.contenders.network import Way
from benchmarks.task import CLASSES, PIXELS, Arrays, Task, draw_weights

torch.set_num_threads(1)


class Single:
    """Uses `nn.Sequential` and `optim.SGD`, with two groups of parameters: the penalty applies only to weights."""

    ways: ClassVar[list[Way]] = [{"width": 1}]

    def __init__(self, task: Task, arrays: Arrays) -> None:
        self._task = task
        self._x, self._y = torch.from_numpy(arrays.x), torch.from_numpy(arrays.y)
        self._x_validation = torch.from_numpy(arrays.x_validation)
        self._y_validation = torch.from_numpy(arrays.y_validation)

    def begin(self, _: Way) -> None:
        """Start with the task's setting."""
        self.begin_at(self._task.eta, self._task.lam, seed=0)

    def begin_at(self, eta: float, lam: float, seed: int) -> None:
        """Start with the setting of a point."""
        first, second = torch.nn.Linear(PIXELS, self._task.hidden), torch.nn.Linear(self._task.hidden, CLASSES)
        weights, biases = [first.weight, second.weight], [first.bias, second.bias]
        W1, b1, W2, b2 = map(torch.from_numpy, draw_weights(self._task, seed))
        with torch.no_grad():
            for parameter, drawn in zip((*weights, *biases), (W1, W2, b1, b2), strict=True):
                parameter.copy_(drawn)
        self._network = torch.nn.Sequential(first, torch.nn.ReLU(), second)
        groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": 2 * lam}, {"params": biases}]
        self._optimizer = torch.optim.SGD(groups, lr=eta, momentum=self._task.rho, fused=True)
        self.accuracy = 0.0

    def epoch(self) -> list[float]:
        """Train on shuffled mini-batches, then evaluate."""
        total, x = torch.zeros(()), torch.empty(self._task.batch, self._x.shape[1])
        for chosen in torch.randperm(len(self._y)).split(self._task.batch):
            torch.index_select(self._x, 0, chosen, out=x)
            loss = functional.cross_entropy(self._network(x), self._y[chosen])
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            total += loss.detach() * len(chosen)
        with torch.inference_mode():
            hits = self._network(self._x_validation).argmax(dim=1) == self._y_validation
            self.accuracy = hits.float().mean().item()
        return [total.item() / len(self._y)]


class WithOptuna:
    """Answer the parent's requests: each round is one trial of an Optuna study in a shared SQLite file."""

    def __init__(self, task: Task, study: str, epochs: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._single, self._task, self._epochs = Single(task, Arrays.load(task.arrays, task.images)), task, epochs
        self._study = optuna.load_study(study_name="peer", storage=study, sampler=optuna.samplers.RandomSampler())

    def warm(self) -> dict[str, Any]:
        """Train an epoch at the task's setting, outside the study; return its loss."""
        self._single.begin({"width": 1})
        loss = self._single.epoch()[0]
        if not math.isfinite(loss):
            raise ValueError(f"its training loss is {loss} after an epoch")
        return {"loss": loss, "way": {"width": 1, "epochs a trial": self._epochs}}

    def round(self) -> dict[str, Any]:
        """Time one trial, including Optuna's own work."""
        began = time.perf_counter()
        self._study.optimize(self._objective, n_trials=1)
        return {"seconds": time.perf_counter() - began, "units": self._epochs}

    def _objective(self, trial: optuna.Trial) -> float:
        eta = trial.suggest_float("eta", 0.02, 0.04, log=True)
        lam = trial.suggest_float("lambda", 1e-4, 0.01, log=True)
        self._single.begin_at(eta, lam, trial.number)
        for epoch in range(1, self._epochs + 1):
            self._single.epoch()
            trial.report(self._single.accuracy, epoch)
        return self._single.accuracy
