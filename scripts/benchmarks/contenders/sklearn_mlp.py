"""scikit-learn's `MLPClassifier`, one trial: an epoch is one `partial_fit`.

Its gradient is (Σ over the mini-batch + α·W)/b, ours the mean + 2λ·W: α = 2λ·b. Its velocity carries the learning
rate as ours does. float32 images stay float32. The check for NaN and infinity is switched off: users pay for it once
per `fit`, but here it would run in every epoch.
"""

from typing import ClassVar

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier

from benchmarks.contenders.network import Way
from benchmarks.task import CLASSES, Arrays, Task


class Sklearn:
    """Draws its own initial weights (Glorot's), since scikit-learn does not accept any."""

    ways: ClassVar[list[Way]] = [{"width": 1}]

    def __init__(self, task: Task, arrays: Arrays) -> None:
        sklearn.set_config(assume_finite=True)
        self._task, self._arrays = task, arrays

    def begin(self, _: Way) -> None:
        """Make a classifier that was never fitted."""
        t = self._task
        self._network = MLPClassifier(
            (t.hidden,), solver="sgd", alpha=2 * t.lam * t.batch, batch_size=t.batch,
            learning_rate_init=t.eta, momentum=t.rho, nesterovs_momentum=False, random_state=0,
        )  # fmt: skip

    def epoch(self) -> list[float]:
        """Train and evaluate; subtract the penalty from scikit-learn's loss."""
        a, t = self._arrays, self._task
        self._network.partial_fit(a.x, a.y, classes=np.arange(CLASSES))
        self._network.score(a.x_validation, a.y_validation)
        penalty = t.lam * sum(float((W**2).sum()) for W in self._network.coefs_)
        return [self._network.loss_ - penalty]
