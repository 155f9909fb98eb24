"""What is measured: the sizes of the whole and of the quick form, and the campaigns they make of the presets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coarsefine import Campaign
from coarsefine.search.campaign.schema import (
    Confirm,
    Data,
    FinalSettings,
    Model,
    Narrow,
    Stage,
)

RHOS_EPOCHS = 200
"""Of the report's Figure 1."""
ETA = 0.01
"""Of Figure 1, where the report states none: what `coarsefine momentum` takes."""
FIXED, NARROWED, PRESET, HIDDEN = "fixed", "narrowed", "preset", "hidden"
HIDDEN_UNITS = (25, 100, 25)
"""Lowest, highest, and the step between, of the search that has them as a third parameter; the report has 50."""
HIDDEN_TRIALS = 20
"""Of each of its stages: larger networks cost more, and it is to take as long as the search without them."""
_QUICK_TRIALS = 4
_LONGER = FinalSettings(epochs=40, decay=0.93)
"""Of the longer final training: fixed before any test image was used, by validation accuracies."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a step beyond the report is called."""

    short: str
    words: str


LABELS = {
    FIXED: Label("the report's\nsearch", "the report's way: fixed ranges, the highest of all values wins, 30 epochs"),
    NARROWED: Label("narrowed\nranges", "each finer range drawn from the best trials before it"),
    "confirmed": Label(
        "confirmed\nfinalists", "the best settings trained again on fresh seeds, and the winner chosen by that"
    ),
    "all-images": Label("training +\nvalidation", "that winner's final training on training and validation images"),
    "longer": Label("longer\ntraining", "that with more epochs and a decay of its own"),
    PRESET: Label(
        "the preset\ncifar10",
        "the preset `cifar10` without `mirror`: steps 1 to 3, judged by 5,000 validation images, 4,000 of them held "
        "out of training; trials of 30 epochs, of which poor ones end after 10; finalists and final training of 60 "
        "epochs",
    ),
    HIDDEN: Label(
        "hidden\nunits",
        "that with the number of hidden units searched, too, {} to {} by {}; in {} trials a stage in place of 50, so "
        "that it takes about as long".format(*HIDDEN_UNITS, HIDDEN_TRIALS),
    ),
}
"""The steps, each on top of the one before it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured, on which images, and where it is kept."""

    folder: Path
    source: Path | None
    """CIFAR-10; None where the digits stand in for it, which only the quick form allows."""
    quick: bool
    digits: bool
    seeds: tuple[int, ...]
    """Of the campaigns. Each is a whole reproduction of its own, and steps are compared seed by seed."""
    trainings: int = 5
    """Final trainings of each winner, on seeds of their own."""

    @property
    def storage(self) -> Path:
        """Return where the campaigns are."""
        return self.folder / "studies.db"

    @property
    def data(self) -> Data:
        """Return the images: the report's, in the quick form half of them."""
        if self.digits:
            return Data(dataset="digits")
        return Data(dataset="cifar10", train=["data_batch_1"]) if self.quick else Campaign.load("paper").images

    def data_of(self, campaign: Campaign) -> Data:
        """Return the same images, of which a preset may hold some out of training."""
        return self.data if self.digits else self.data.model_copy(update={"held_out": campaign.images.held_out})

    @property
    def repetitions(self) -> int:
        """Return how many campaigns are simulated for each seed."""
        return 50 if self.quick else 1000

    @property
    def model(self) -> Model:
        """Return the report's network and training."""
        return self._shorter(Campaign.load("paper").network)

    @property
    def identity(self) -> dict[str, Any]:
        """Return what must be the same wherever measurements are put together; seeds may be added."""
        return {"quick": self.quick, "data": self.data.model_dump(mode="json"), "trainings": self.trainings}

    @property
    def longer(self) -> FinalSettings:
        """Return the longer final training."""
        return _LONGER.model_copy(update={"epochs": self.epochs(_LONGER.epochs)})

    def epochs(self, asked: int) -> int:
        """Return how many epochs are trained where the report has this many."""
        return max(2, asked // 20) if self.quick else asked

    def campaign(self, kind: str, seed: int) -> Campaign:
        """Return a campaign of one of the four kinds."""
        return self._sized(_KINDS[kind](), f"{kind}-{seed}", seed)

    def _sized(self, campaign: Campaign, name: str, seed: int) -> Campaign:
        final = {"epochs": self.epochs(campaign.final_settings.epochs), "seeds": self.trainings}
        told: dict[str, Any] = {
            "name": name,
            "seed": seed,
            "data": self.data_of(campaign),
            "model": self._shorter(campaign.network),
            "final": campaign.final_settings.model_copy(update=final),
        }
        if self.quick:
            told["stage"] = [self._quick(stage) for stage in campaign.stage]
            told["confirm"] = campaign.confirm and Confirm(top=2, seeds=2)
        return campaign.model_copy(update=told)

    def _shorter(self, model: Model) -> Model:
        return model.model_copy(update={"epochs": self.epochs(model.epochs)})

    @staticmethod
    def _quick(stage: Stage) -> Stage:
        return stage.model_copy(update={"trials": _QUICK_TRIALS, "rungs": [1] if stage.rungs else None})


def _fixed() -> Campaign:
    """Return the report's own search: the highest of all values wins."""
    return Campaign.load("paper")


def _narrowed() -> Campaign:
    """Return the report's search with each finer range drawn from the best trials before it, and finalists confirmed.

    Nothing is pruned, so that the ranges are all that differs; the coarse stage is the report's to the bit.
    """
    paper, preset = _fixed(), _preset()
    own = {"pruner": "none", "rungs": None, "narrow": Narrow(top=8)}
    finer = [stage.model_copy(update=own) for stage in preset.stage[1:]]
    return paper.model_copy(update={"stage": [paper.stage[0], *finer], "confirm": Confirm()})


def _preset() -> Campaign:
    """Return the search that is meant to be used, on the images as they are: its page was measured before `mirror`."""
    preset = Campaign.load("cifar10")
    return preset.model_copy(update={"model": preset.network.model_copy(update={"mirror": False})})


def _hidden() -> Campaign:
    """Return that search with a third parameter."""
    preset, (low, high, step) = _preset(), HIDDEN_UNITS
    told = preset.stage[0].model_dump(by_alias=True, exclude_unset=True)
    coarse = Stage.model_validate({**told, "hidden": {"integer": [low, high], "step": step}})
    stages = [stage.model_copy(update={"trials": HIDDEN_TRIALS}) for stage in (coarse, *preset.stage[1:])]
    return preset.model_copy(update={"stage": stages})


_KINDS: dict[str, Callable[[], Campaign]] = {FIXED: _fixed, NARROWED: _narrowed, PRESET: _preset, HIDDEN: _hidden}
