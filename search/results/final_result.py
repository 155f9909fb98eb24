"""What a final training came to: accuracies of each seed, and the curves."""

from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from coarsefine.search.campaign.dimension import Value
from coarsefine.search.campaign.winner import Estimate


@dataclass(frozen=True, slots=True)
class Curves:
    """A training epoch by epoch, the mean of its seeds: losses are mean cross-entropies, accuracies fractions."""

    train_loss: tuple[float, ...]
    """Mean over the epoch's mini-batches, each before its step."""
    validation_loss: tuple[float, ...]
    """Empty, as the accuracy is, where validation images were trained on."""
    validation_accuracy: tuple[float, ...]

    @classmethod
    def of(cls, history: npt.NDArray[np.float64]) -> "Curves":
        """Take them of (epochs, seeds, 3): training loss, validation loss and accuracy; the last two may be NaN."""
        means = history.mean(axis=1).T.tolist()
        return cls(*(() if np.isnan(curve).any() else tuple(curve) for curve in means))


@dataclass(frozen=True, slots=True)
class Reproduction:
    """How the exported trial came out when it was trained once more, before the final training."""

    exact: bool
    """Whether every epoch's validation accuracy was the recorded one, to the bit."""
    difference: float
    """The largest difference of an epoch's."""
    like: bool
    """Whether this machine rounds as that of the trial did, with the same versions: then it has to be exact."""

    @property
    def words(self) -> str:
        """Return it as a sentence."""
        if self.exact:
            return "The trial's values were reproduced to the bit."
        return (
            f"The trial's values were reproduced to within {100 * self.difference:.2f} points, on a machine or with "
            "versions that round otherwise."
        )


@dataclass(frozen=True, slots=True)
class FinalResult:
    """A final training. Accuracies are fractions, one for each seed; it used test images once, at its end."""

    study: str
    """Of the trial that was trained."""
    number: int
    params: dict[str, Value]
    epochs: int
    seeds: tuple[int, ...]
    """Of the initial weights. All saw the same mini-batches, as one stack."""
    decay: float
    on_validation: bool
    """Whether validation images were trained on, too."""
    images: tuple[int, int, int]
    """How many were trained on, were for validation, and for the test."""
    train_accuracies: tuple[float, ...]
    validation_accuracies: tuple[float, ...]
    """Empty where they were trained on."""
    test_accuracies: tuple[float, ...]
    ensemble_accuracy: float
    """On test images, of the mean of all seeds' probabilities."""
    reproduction: Reproduction
    export: str
    """Digest of the export that was trained."""
    folder: str
    """Where network, card and curves are."""
    made_by: str
    """Versions and arithmetic of the machine that trained it."""
    seconds: float
    ended: str
    """When, in UTC: the moment at which test images were used."""
    curves: Curves

    @property
    def train_accuracy(self) -> float:
        """Return the mean over seeds."""
        return fmean(self.train_accuracies)

    @property
    def validation_accuracy(self) -> float | None:
        """Return the mean over seeds; None where validation images were trained on."""
        return fmean(self.validation_accuracies) if self.validation_accuracies else None

    @property
    def test_accuracy(self) -> float:
        """Return the mean over seeds."""
        return fmean(self.test_accuracies)

    @property
    def test(self) -> Estimate | None:
        """Return that mean with its interval; None of a single seed."""
        return Estimate.of(np.array(self.test_accuracies)) if len(self.test_accuracies) > 1 else None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, without the curves."""
        told = self.as_attr()
        del told["curves"]
        means = ("train_accuracy", "validation_accuracy", "test_accuracy")
        return {**told, **{name: getattr(self, name) for name in means}, "test": self.test and self.test.as_dict()}

    def as_attr(self) -> dict[str, Any]:
        """Return the form of the study's attribute."""
        return asdict(self)

    @classmethod
    def from_attr(cls, attr: dict[str, Any]) -> "FinalResult":
        """Read what `as_attr` wrote."""
        listed = ("seeds", "images", "train_accuracies", "validation_accuracies", "test_accuracies")
        curves = Curves(**{name: tuple(values) for name, values in attr["curves"].items()})
        told = {**attr, **{name: tuple(attr[name]) for name in listed}}
        return cls(**{**told, "reproduction": Reproduction(**attr["reproduction"]), "curves": curves})
