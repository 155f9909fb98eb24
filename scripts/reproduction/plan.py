"""The plan: the sizes of the full and the quick form, and their campaigns, made from the presets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coarsefine import Campaign
from coarsefine.search.campaign.sections import Confirm, Data, FinalSettings, Model, Narrow, Stage

ETA = 0.01
"""Learning rate of Figure 1. The report states none, so this is the default of `coarsefine momentum`."""
FIXED, NARROWED, PRESET, HIDDEN = "fixed", "narrowed", "preset", "hidden"
HIDDEN_UNITS = (25, 100, 25)
"""Lowest, highest and step of the hidden units where they are a third parameter; the report has 50."""
HIDDEN_TRIALS = 20
"""Trials of each of its stages: larger networks cost more, and it should take as long as the search without them."""
_QUICK_TRIALS = 4
_LONGER = FinalSettings(epochs=40, decay=0.93)
"""Settings of the longer final training, chosen by validation accuracies before any test image was used."""


@dataclass(frozen=True, slots=True)
class Label:
    """The name of a step beyond the report."""

    short: str
    words: str


LABELS = {
    FIXED: Label("the report's\nsearch", "the report's way: fixed ranges, the highest of all values wins, 30 epochs"),
    NARROWED: Label("narrowed\nranges", "each finer range drawn from the best trials before it"),
    "confirmed": Label(
        "confirmed\nfinalists", "the best settings trained again on new seeds, and the winner chosen by that"
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
"""The steps; each builds on the previous one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure, on which images, and in which folder."""

    folder: Path
    source: Path | None
    """CIFAR-10; None if the digits are used instead, which only the quick form allows."""
    quick: bool
    digits: bool
    seeds: tuple[int, ...]
    """Seeds of the campaigns. Each is a whole reproduction, and steps are compared seed by seed."""
    trainings: int = 5
    """Number of final trainings of each winner, each with its own seed."""

    @property
    def storage(self) -> Path:
        """Return the storage of the campaigns."""
        return self.folder / "studies.db"

    @property
    def data(self) -> Data:
        """Return the images: the report's, or half of them in the quick form."""
        if self.digits:
            return Data(dataset="digits")
        return Data(dataset="cifar10", train=["data_batch_1"]) if self.quick else Campaign.load("paper").network.data

    def data_of(self, campaign: Campaign) -> Data:
        """Return the same images, with those that a preset holds out of training."""
        if self.digits:
            return self.data
        held_out = campaign.network.data.options["held_out"]
        return Data.model_validate({**self.data.model_dump(), "held_out": held_out})

    @property
    def repetitions(self) -> int:
        """Return how many campaigns are simulated for each seed."""
        return 50 if self.quick else 1000

    @property
    def model(self) -> Model:
        """Return the report's network and training."""
        return self._shorter(Campaign.load("paper").network.model)

    @property
    def identity(self) -> dict[str, Any]:
        """Return the conditions that all measurements of a folder must share; seeds may be added."""
        return {"quick": self.quick, "data": self.data.model_dump(mode="json"), "trainings": self.trainings}

    @property
    def longer(self) -> FinalSettings:
        """Return the longer final training."""
        return _LONGER.model_copy(update={"epochs": self.epochs(_LONGER.epochs)})

    def epochs(self, asked: int) -> int:
        """Return the number of epochs to train where the report has this many."""
        return max(2, asked // 20) if self.quick else asked

    def campaign(self, kind: str, seed: int) -> Campaign:
        """Return a campaign of one of the four kinds."""
        return self._sized(_KINDS[kind](), f"{kind}-{seed}", seed)

    def _sized(self, campaign: Campaign, name: str, seed: int) -> Campaign:
        final = {"epochs": self.epochs(campaign.network.final.epochs), "seeds": self.trainings}
        changes: dict[str, Any] = {
            "name": name,
            "seed": seed,
            "data": self.data_of(campaign),
            "model": self._shorter(campaign.network.model),
            "final": campaign.network.final.model_copy(update=final),
        }
        if self.quick:
            changes["stage"] = [self._quick(stage) for stage in campaign.stage]
            changes["confirm"] = campaign.confirm and Confirm(top=2, seeds=2)
        return campaign.model_copy(update=changes)

    def _shorter(self, model: Model) -> Model:
        return model.model_copy(update={"epochs": self.epochs(model.epochs)})

    @staticmethod
    def _quick(stage: Stage) -> Stage:
        rungs = [1] if stage.pruner_name == "halving" else None
        return stage.model_copy(update={"trials": _QUICK_TRIALS, "rungs": rungs})


def _fixed() -> Campaign:
    """Return the report's own search: the highest of all values wins."""
    return Campaign.load("paper")


def _narrowed() -> Campaign:
    """Return the report's search with narrowed ranges and confirmed finalists.

    Nothing is pruned, so that only the ranges differ; the coarse stage equals the report's to the bit.
    """
    paper, preset = _fixed(), _preset()
    own = {"pruner": "none", "rungs": None, "narrow": Narrow(top=8)}
    finer = [stage.model_copy(update=own) for stage in preset.stage[1:]]
    return paper.model_copy(update={"stage": [paper.stage[0], *finer], "confirm": Confirm()})


def _preset() -> Campaign:
    """Return the recommended search, without mirrored images: its page was measured before `mirror` existed."""
    preset = Campaign.load("cifar10")
    return preset.model_copy(update={"model": preset.network.model.model_copy(update={"mirror": False})})


def _hidden() -> Campaign:
    """Return that search with a third parameter."""
    preset, (low, high, step) = _preset(), HIDDEN_UNITS
    changes = preset.stage[0].model_dump(by_alias=True, exclude_unset=True)
    coarse = Stage.model_validate({**changes, "hidden": {"integer": [low, high], "step": step}})
    stages = [stage.model_copy(update={"trials": HIDDEN_TRIALS}) for stage in (coarse, *preset.stage[1:])]
    return preset.model_copy(update={"stage": stages})


_KINDS: dict[str, Callable[[], Campaign]] = {FIXED: _fixed, NARROWED: _narrowed, PRESET: _preset, HIDDEN: _hidden}
