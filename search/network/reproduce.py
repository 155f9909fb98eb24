"""An exported trial, trained once more: whether its values can be had again."""

from collections.abc import Callable

import numpy as np

from coarsefine.model import Training
from coarsefine.model.datasets import Dataset
from coarsefine.model.errors import DataError
from coarsefine.search.errors import Interrupted
from coarsefine.search.network.export_schema import Export
from coarsefine.search.results.final_result import Reproduction
from coarsefine.search.training.identity import arithmetic_name, versions

_CLOSE = 0.05
"""How far accuracies of an epoch may be apart on a machine that rounds otherwise: 50 images of 1,000."""


def reproduce(export: Export, data: Dataset, stop: Callable[[], bool]) -> Reproduction:
    """Train the exported trial once more, as it was; tell how its values came out.

    Raises `DataError` where they are not the recorded ones, though this machine rounds as that of the trial did, or
    where they are farther off than rounding explains.
    """
    epochs = len(export.trial.values)
    trial, settings = export.hyperparameters(export.trial.seed), export.training_settings(export.settings.epochs)
    training = Training.start([trial], settings, data)
    values: list[float] = []
    while training.epoch < epochs and training.lanes:
        values += [report.validation.accuracy for report in training.run_epoch()]
        if stop():
            raise Interrupted("Stopped while the exported trial is trained once more.")
    apart = [abs(a - b) if np.isfinite(a) else 1.0 for a, b in zip(values, export.trial.values, strict=False)]
    exact = values == export.trial.values
    like = (export.trial.arithmetic, export.versions) == (arithmetic_name(), versions())
    difference = max(apart) if len(values) == epochs else 1.0
    if not exact and (like or difference > _CLOSE):
        place = next((k for k, distance in enumerate(apart) if distance), len(apart) - 1)
        raise DataError(
            f"Trial {export.trial.study}#{export.trial.number} cannot be reproduced: epoch {place + 1} gave "
            f"{values[place]:.4f}, and {export.trial.values[place]:.4f} was recorded"
            + (" where products are rounded alike" if like else f"; rounding explains {_CLOSE} at most")
            + ". Compare the export with its studies: `coarsefine status`."
        )
    return Reproduction(exact, difference, like)
