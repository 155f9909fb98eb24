"""What a final training came to: the accuracies of each seed and the curves, as studies store them."""
# mypy: disable-error-code="prop-decorator"
# mypy does not know that pydantic decorates properties

from collections.abc import Mapping
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, computed_field

from coarsefine.search.campaign.dimension import Value
from coarsefine.search.campaign.estimate import Estimate
from coarsefine.search.campaign.json_form import JsonForm
from coarsefine.search.errors import CampaignError
from coarsefine.search.results.study import Study
from coarsefine.search.storage.tables import FINAL_TRAINING

TRAINING = "training "
"""Prefix of the attributes that hold final trainings by `train`."""


@dataclass(frozen=True)
class Curves(JsonForm):
    """The mean of the seeds after each epoch: losses are mean cross-entropies, accuracies fractions."""

    train_loss: tuple[float, ...]
    """Mean over the epoch's mini-batches, each before its step."""
    validation_loss: tuple[float, ...]
    """Empty, as is the accuracy, if validation images were trained on."""
    validation_accuracy: tuple[float, ...]

    @classmethod
    def of(cls, history: npt.NDArray[np.float64]) -> Self:
        """Average (epochs, seeds, 3): training loss, validation loss and accuracy; the last two may be NaN."""
        means = history.mean(axis=1).T.tolist()
        return cls(*(() if np.isnan(curve).any() else tuple(curve) for curve in means))


@dataclass(frozen=True)
class Reproduction(JsonForm):
    """How the exported trial came out when it was trained again, before the final training."""

    exact: Annotated[bool, Field(description="whether every epoch's validation accuracy was the same to the bit")]
    difference: Annotated[float, Field(description="the largest difference in an epoch")]
    like: Annotated[
        bool, Field(description="whether the machine rounds like the trial's, with the same versions; then it is exact")
    ]

    @property
    def words(self) -> str:
        """Return a sentence about it."""
        if self.exact:
            return "The trial's values were reproduced to the bit."
        return (
            f"The trial's values were reproduced to within {100 * self.difference:.2f} points, on a machine or with "
            "versions that round otherwise."
        )


@dataclass(frozen=True)
class FinalResult(JsonForm):
    """A final training, measured once on test images. Accuracies are fractions; those in the singular are means."""

    study: Annotated[str, Field(description="of the trial that was trained")]
    number: int
    params: dict[str, Value]
    epochs: int
    seeds: Annotated[tuple[int, ...], Field(description="of the initial weights; the mini-batches are the same")]
    decay: float
    on_validation: Annotated[bool, Field(description="whether validation images were trained on, too")]
    images: Annotated[tuple[int, int, int], Field(description="numbers of training, validation and test images")]
    train_accuracies: tuple[float, ...]
    validation_accuracies: Annotated[tuple[float, ...], Field(description="empty if they were trained on")]
    test_accuracies: Annotated[tuple[float, ...], Field(min_length=1)]
    ensemble_accuracy: Annotated[float, Field(description="on test images, of the mean of all seeds' probabilities")]
    reproduction: Reproduction
    export: Annotated[str, Field(description="digest of the export that was trained")]
    folder: Annotated[str, Field(description="where network, model card and curves are")]
    made_by: Annotated[str, Field(description="versions, arithmetic and instructions of the machine that trained it")]
    seconds: float
    ended: Annotated[str, Field(description="when, in UTC: the moment at which test images were used")]
    curves: Annotated[Curves, Field(exclude=True)]

    @computed_field
    @property
    def train_accuracy(self) -> float:
        """Return the mean over seeds."""
        return fmean(self.train_accuracies)

    @computed_field
    @property
    def validation_accuracy(self) -> float | None:
        """Return the mean over seeds; None if validation images were trained on."""
        return fmean(self.validation_accuracies) if self.validation_accuracies else None

    @computed_field
    @property
    def test_accuracy(self) -> float:
        """Return the mean over seeds."""
        return fmean(self.test_accuracies)

    @computed_field
    @property
    def test(self) -> Estimate | None:
        """Return that mean with its interval; None for a single seed."""
        return Estimate.of(np.array(self.test_accuracies)) if len(self.test_accuracies) > 1 else None

    def as_attr(self) -> dict[str, Any]:
        """Return the form of the study's attribute and of `final.json`: with the curves, without means."""
        form, names = self.as_dict(), {field.name for field in fields(self)}
        return {name: form[name] for name in form if name in names} | {"curves": self.curves.as_dict()}


def read_final(studies: Mapping[str, Study]) -> FinalResult | None:
    """Return the final training, which is recorded with the study of the last stage."""
    found = [(study, study.attrs[FINAL_TRAINING]) for study in studies.values() if FINAL_TRAINING in study.attrs]
    return _final_of(*found[0]) if found else None


def read_trainings(studies: Mapping[str, Study]) -> tuple[FinalResult, ...]:
    """Return the final trainings that `train` recorded with the studies of their trials, oldest first."""
    found = [
        _final_of(study, attr)
        for study in studies.values()
        for key, attr in study.attrs.items()
        if key.startswith(TRAINING)
    ]
    return tuple(sorted(found, key=lambda final: final.ended))


def training_key(final: FinalResult) -> str:
    """Return the name of the study's attribute that holds a training, different for each training."""
    settings = (final.epochs, len(final.seeds), final.decay, final.on_validation)
    return f"{TRAINING}{final.export[:12]} {' '.join(map(str, settings))}"


def _final_of(study: Study, attr: Any) -> FinalResult:
    try:
        return FinalResult.from_dict(attr)
    except ValueError as error:
        raise CampaignError(
            f"{study.name} has a final training that this version of Coarsefine cannot read ({error}). Use the version "
            "that recorded it, or start again under another name or --storage."
        ) from error
