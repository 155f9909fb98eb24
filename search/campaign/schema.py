"""The sections of a campaign file, each refused with one sentence where it is wrong in itself."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from coarsefine.model.datasets import Selection
from coarsefine.model.hyperparameters import TrainingSettings
from coarsefine.search.campaign.dimension import Dimension, Value
from coarsefine.search.campaign.fields import (
    Batch,
    BatchSize,
    Decay,
    Eta,
    Hidden,
    Lam,
    Name,
    Ranges,
    Rho,
    Width,
)
from coarsefine.search.campaign.narrowing import Rule
from coarsefine.search.campaign.ranges import SETTINGS
from coarsefine.search.campaign.space import Sampler

CONFIRM = "confirm"
_HALF = 2.0


class Section(BaseModel):
    """A table of a campaign file: nothing but its fields, each of its own type, and never changed."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Data(Section):
    """`[data]`: which images. The batches matter for `cifar10` alone."""

    dataset: Literal["digits", "cifar10"]
    train: list[Batch] = ["data_batch_1", "data_batch_3"]
    validation: Batch = "data_batch_2"
    validation_images: Annotated[int, Field(ge=1, le=10_000)] = 1000
    test: Batch = "test_batch"
    held_out: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _held_out_of_batches(self) -> Self:
        if self.held_out and self.dataset == "digits":
            raise ValueError("held_out is of CIFAR-10's training images: the digits have a split of their own")
        return self

    def selection(self) -> Selection:
        """Return the CIFAR-10 batches."""
        return Selection(tuple(self.train), self.validation, self.validation_images, self.test, self.held_out)


class Model(Section):
    """`[model]`: the network and its training, the same for every trial but for what the stages search."""

    eta: Annotated[float | None, Field(gt=0)] = None
    lam: Annotated[float | None, Field(ge=0, alias="lambda")] = None
    hidden: Annotated[int, Field(ge=1, le=100_000)] = 50
    batch: Annotated[int, Field(ge=1)] = 100
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 10
    rho: Annotated[float, Field(ge=0, lt=1)] = 0.9
    decay: Annotated[float, Field(gt=0, le=1)] = 0.95
    order: Literal["shuffled", "fixed"] = "shuffled"
    precision: Literal["float32", "float64"] = "float32"
    mirror: bool = False

    def settings(self, epochs: int, order_seed: int) -> TrainingSettings:
        """Return what trainings of so many epochs, with this seed of their mini-batches, have in common."""
        return TrainingSettings(self.hidden, self.batch, epochs, self.order, order_seed, self.precision, self.mirror)

    @property
    def fixed(self) -> dict[str, Value]:
        """Return the settings that it gives, of those that can be searched."""
        given = self.model_dump(by_alias=True, include={*SETTINGS, "lam"}, exclude_none=True)
        return {name: given[name] for name in SETTINGS if name in given}


class Narrow(Section):
    """`[stage.narrow]`: how a stage's ranges come from its parent's best trials."""

    top: Annotated[int, Field(ge=1)] = 5
    margin: Annotated[float, Field(ge=0, le=10)] = 0.25
    least: Annotated[float, Field(ge=0.01, le=10)] = 0.3
    widen: bool = False

    def rule(self) -> Rule:
        """Return the rule that `coarsefine.search.campaign.narrowing` applies."""
        return Rule(self.top, self.margin, self.least, self.widen)


class Stage(Section):
    """`[[stage]]`: one study. Its ranges are given, or narrowed from its parent.

    Those of the network's settings have names of their own (`eta`, `lambda` …), those of an objective are its `space`.
    """

    name: Name
    trials: Annotated[int, Field(ge=1, le=1_000_000)]
    eta: Eta | None = None
    lam: Annotated[Lam | None, Field(alias="lambda")] = None
    rho: Rho | None = None
    decay: Decay | None = None
    hidden: Hidden | None = None
    batch: BatchSize | None = None
    space: Ranges | None = None
    narrow: Narrow | None = None
    parent: str | None = None
    carry: Annotated[int, Field(ge=0)] = 0
    sampler: Sampler = "random"
    epochs: Annotated[int | None, Field(ge=1, le=100_000)] = None
    stack: Width = "auto"
    pruner: Literal["none", "halving"] = "none"
    rungs: list[Annotated[int, Field(ge=1)]] | None = None
    factor: Annotated[float, Field(gt=1, le=100)] = _HALF

    @model_validator(mode="after")
    def _one_source_of_ranges(self) -> Self:
        if bool(self.given) == (self.narrow is not None):
            raise ValueError("give either ranges, such as eta = [0.001, 0.3], or [stage.narrow]")
        if self.space is not None and self._settings:
            raise ValueError("give ranges of the network's settings, or the space of an objective, not both")
        if self.pruner == "none" and (self.rungs is not None or self.factor != _HALF):
            raise ValueError('rungs and factor are of pruner = "halving": give that too, or remove them')
        if self.rungs is not None and (not self.rungs or self.rungs != sorted(set(self.rungs))):
            raise ValueError(f"rungs = {self.rungs} must be epochs in rising order, at least one")
        if self.carry > self.trials:
            raise ValueError(f"carry = {self.carry} is more than its {self.trials} trials")
        return self

    @property
    def given(self) -> dict[str, Dimension]:
        """Return the ranges that the campaign gives the stage, none where it is narrowed."""
        return self._settings if self.space is None else self.space

    @property
    def _settings(self) -> dict[str, Dimension]:
        own = (self.eta, self.lam, self.rho, self.decay, self.hidden, self.batch)
        return {name: dimension for name, dimension in zip(SETTINGS, own, strict=True) if dimension is not None}


class Confirm(Section):
    """`[confirm]`: the last stage, in which the best settings of all others are trained again on fresh seeds."""

    top: Annotated[int, Field(ge=1, le=100)] = 6
    seeds: Annotated[int, Field(ge=2, le=1000)] = 6
    near: Annotated[float, Field(ge=0, le=1)] = 0.05
    epochs: Annotated[int | None, Field(ge=1, le=100_000)] = None

    @property
    def name(self) -> str:
        """Return the stage's name."""
        return CONFIRM

    @property
    def trials(self) -> int:
        """Return how many slots it has at most: fewer where fewer settings came out of the search."""
        return self.top * self.seeds


AnyStage = Stage | Confirm
"""One study of a campaign."""


class FinalSettings(Section):
    """`[final]`: the long training of the winner, once for each seed."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 30
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    decay: Annotated[float | None, Field(gt=0, le=1)] = None
    on_validation: bool = False
