"""Plain NumPy in float64, one trial, as the assignment asks for.

The images are stored in rows, so that a mini-batch is gathered from whole cache lines; stored in columns, as in the
assignment, an epoch takes twice as long.
"""

from typing import ClassVar

import numpy as np

from benchmarks.contenders.network import Way
from benchmarks.task import Arrays, Task, draw_weights


class Plain:
    """Equations (1)-(6) with ∂J/∂θ of one trial."""

    ways: ClassVar[list[Way]] = [{"width": 1}]

    def __init__(self, task: Task, arrays: Arrays) -> None:
        self._task, self._y, self._y_validation = task, arrays.y, arrays.y_validation
        self._x, self._x_validation = arrays.x.astype(np.float64), arrays.x_validation.astype(np.float64)

    def begin(self, _: Way) -> None:
        """Draw weights; no momentum yet."""
        W1, b1, W2, b2 = draw_weights(self._task, 0, np.float64)
        self._theta = [W1, b1[:, np.newaxis], W2, b2[:, np.newaxis]]
        self._v = [np.zeros_like(tensor) for tensor in self._theta]
        self._rng = np.random.default_rng(0)

    def epoch(self) -> list[float]:
        """Train on shuffled mini-batches, then evaluate."""
        n, b = len(self._y), self._task.batch
        order, total = self._rng.permutation(n), 0.0
        for start in range(0, n, b):
            chosen = order[start : start + b]
            total += self._step(self._x[chosen].T, self._y[chosen])
        _, p = self._forward(self._x_validation.T)
        np.mean(p.argmax(axis=0) == self._y_validation)
        return [total / n]

    def _forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        W1, b1, W2, b2 = self._theta
        h = np.maximum(0, W1 @ x + b1)
        s = W2 @ h + b2
        e = np.exp(s - s.max(axis=0))
        return h, e / e.sum(axis=0)

    def _step(self, x: np.ndarray, y: np.ndarray) -> float:
        W1, _, W2, _ = self._theta
        h, p = self._forward(x)
        images = np.arange(len(y))
        loss = -float(np.log(p[y, images]).sum())
        p[y, images] -= 1
        g = p / len(y)
        back = (W2.T @ g) * (h > 0)
        decay = 2 * self._task.lam
        gradients = [
            back @ x.T + decay * W1,
            back.sum(axis=1, keepdims=True),
            g @ h.T + decay * W2,
            g.sum(axis=1, keepdims=True),
        ]
        self._v = [self._task.rho * v + self._task.eta * dJ for v, dJ in zip(self._v, gradients, strict=True)]
        self._theta = [tensor - v for tensor, v in zip(self._theta, self._v, strict=True)]
        return loss
