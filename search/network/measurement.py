"""What is measured around a final training: whether its trial can be reproduced, and how accurate its networks are."""

from collections.abc import Callable
from typing import Any

import numpy as np

from coarsefine.model import Network, Training, evaluate
from coarsefine.model.datasets import Dataset, Part
from coarsefine.model.errors import DataError
from coarsefine.search.errors import Interrupted
from coarsefine.search.network.export_schema import Export
from coarsefine.search.results.final_result import Reproduction
from coarsefine.search.training.identity import arithmetic_name, versions

_TOLERANCE = 0.05
"""Largest difference of an epoch's accuracy on a machine that rounds differently: 50 images of 1,000."""


def reproduce(export: Export, data: Dataset, stop: Callable[[], bool]) -> Reproduction:
    """Train the exported trial again as it was, and compare its values with the recorded ones.

    Raises `DataError` if they differ although this machine rounds as the trial's did, or by more than rounding
    explains; `Interrupted` if `stop` returns true after an epoch.
    """
    recorded = export.trial.values
    values = _train_again(export, data, stop)
    differences = [abs(a - b) if np.isfinite(a) else 1.0 for a, b in zip(values, recorded, strict=False)]
    exact = values == recorded
    like = (export.trial.arithmetic, export.versions) == (arithmetic_name(), versions())
    largest = max(differences) if len(values) == len(recorded) else 1.0
    if not exact and (like or largest > _TOLERANCE):
        k = next((k for k, difference in enumerate(differences) if difference), len(differences) - 1)
        raise DataError(
            f"Trial {export.trial.study}#{export.trial.number} cannot be reproduced: epoch {k + 1} gave "
            f"{values[k]:.4f}, and {recorded[k]:.4f} was recorded"
            + (" by a machine with the same rounding" if like else f"; rounding explains {_TOLERANCE} at most")
            + ". Compare the export with its studies: `coarsefine status`."
        )
    return Reproduction(exact, largest, like)


def measure(training: Training, *, on_validation: bool) -> dict[str, Any]:
    """Return the accuracies of the trained networks, as fields of `FinalResult`; the only use of the test images.

    With `on_validation`, the validation images were trained on, and nothing is measured on them.
    """
    theta, data = training.theta, training.data

    def accuracies(part: Part) -> tuple[float, ...]:
        return tuple(evaluation.accuracy for evaluation in evaluate(theta, part))

    ensemble = Network.of(theta, data).probabilities(data.test.x).argmax(axis=1)
    return {
        "train_accuracies": accuracies(data.train),
        "validation_accuracies": () if on_validation else accuracies(data.validation),
        "test_accuracies": accuracies(data.test),
        "ensemble_accuracy": float((ensemble == data.test.y).mean()),
    }


def _train_again(export: Export, data: Dataset, stop: Callable[[], bool]) -> list[float]:
    trial, settings = export.hyperparameters(export.trial.seed), export.training_settings(export.settings.epochs)
    training = Training.start([trial], settings, data)
    values: list[float] = []
    while training.epoch < len(export.trial.values) and training.numbers:
        values += [report.validation.accuracy for report in training.run_epoch()]
        if stop():
            raise Interrupted("Stopped while the exported trial was trained again.")
    return values
