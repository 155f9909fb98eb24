"""The sections of a campaign file. Each refuses impossible values in one sentence."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, Field, ValidationInfo, create_model, model_serializer, model_validator

from coarsefine.model.datasets.kinds import DATASETS, NAME_KEY, PATH_KEY, DatasetKind
from coarsefine.model.errors import ExtensionError
from coarsefine.model.extensions import load
from coarsefine.model.hyperparameters import Hyperparameters, Order, Precision, TrainingSettings
from coarsefine.search.campaign import fields
from coarsefine.search.campaign.data_options import checked_options, stored_options
from coarsefine.search.campaign.dimension import Dimension, Value
from coarsefine.search.campaign.json_form import STRICT
from coarsefine.search.campaign.network_settings import NAMES, hyperparameters_of, training_settings_of
from coarsefine.search.campaign.pruning import Pruning

CONFIRM, FINAL = "confirm", "final"


class Section(BaseModel):
    """A table of a campaign file. It takes its own fields only, converts no types and never changes."""

    model_config = STRICT


class Data(Section):
    """`[data]`: the dataset, by the name of its kind, and the options that this kind declares.

    In a file, in JSON and as arguments, the options are keys of `[data]` like `dataset`, not a section of their own.
    """

    dataset: str
    """Name of the dataset: `"digits"`, `"cifar10"`, `"arrays"`, or one of another package."""
    options: Mapping[str, Any] = {}
    """All options in their JSON form, with defaults."""

    @model_validator(mode="before")
    @classmethod
    def _collect_options(cls, given: Any, info: ValidationInfo) -> Any:
        if not isinstance(given, dict) or not isinstance(name := given.get(NAME_KEY), str):
            return given
        options = {key: value for key, value in given.items() if key != NAME_KEY}
        read = stored_options if fields.is_stored(info) else checked_options
        return {NAME_KEY: name, "options": read(name, options)}

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {NAME_KEY: self.dataset, **self.options}

    @property
    def title(self) -> str:
        """Return what the images are in words, for pages and reports."""
        kind = self._installed_kind()
        return str(self.options.get("name") or (kind.title if kind else self.dataset))

    @property
    def example_source(self) -> str:
        """Return an example of the `--data` that this dataset needs; empty if it needs none."""
        kind = self._installed_kind()
        return kind.source if kind is not None and not self.options.get(PATH_KEY) else ""

    def _installed_kind(self) -> DatasetKind | None:
        """Return the dataset's kind, or None: a campaign can be looked at where its dataset is not installed."""
        try:
            return load(DATASETS, self.dataset)
        except ExtensionError:
            return None


if TYPE_CHECKING:
    _Values = Section
else:
    _Values = create_model("_Values", __base__=Section, **fields.value_fields())


class Model(_Values):
    """`[model]`: the network and its training; the value of every setting that no stage searches."""

    epochs: fields.Epochs = 10
    """Epochs of a trial, in stages that give no number of their own."""
    order: Order = "shuffled"
    """Whether each epoch shuffles the images, or keeps the order of the data."""
    precision: Precision = "float32"
    """Precision of weights and sums."""
    mirror: bool = False
    """Whether each epoch mirrors a random half of the images, left to right."""

    @property
    def fixed(self) -> dict[str, Value]:
        """Return the values it gives of the settings that can be searched."""
        given = {name: getattr(self, name) for name in NAMES}
        return {name: value for name, value in given.items() if value is not None}

    def hyperparameters(self, values: Mapping[str, Value], seed: int) -> Hyperparameters:
        """Return what belongs to a trial with these values of some settings, and the model's of the others."""
        return hyperparameters_of({**self.fixed, **values}, seed)

    def training_settings(self, epochs: int, order_seed: int) -> TrainingSettings:
        """Return the settings that all trials of a stack share."""
        return training_settings_of({**self.model_dump(), "epochs": epochs, "order_seed": order_seed})


class Narrow(Section):
    """`[stage.narrow]`: how closely a stage's ranges surround its parent's best trials, the winners."""

    top: Annotated[int, Field(ge=1)] = 5
    """Number of the parent's best trials that count as winners."""
    margin: Annotated[float, Field(ge=0, le=10)] = 0.25
    """Space added on either side of their box, as a share of its width."""
    least: Annotated[float, Field(ge=0.01, le=10)] = 0.3
    """Least width: in decades for a log-uniform range, as a fraction of the configured range for a linear one."""
    widen: bool = False
    """Whether a range may leave the user's bounds if winners press against them."""


class _NamedStage(Section):
    name: fields.Name
    """Name of the stage; its study is `CAMPAIGN/STAGE`."""
    trials: Annotated[int, Field(ge=1, le=1_000_000)]
    """Number of trials, exactly."""


if TYPE_CHECKING:
    _Ranges = _NamedStage
else:
    _Ranges = create_model("_Ranges", __base__=_NamedStage, **fields.range_fields())


class _PlannedStage(_Ranges):
    space: fields.Ranges | None = None
    """Range of each parameter of an objective."""
    narrow: Narrow | None = None
    """Draw the ranges around the best trials of the parent, instead of giving them."""
    parent: str | None = None
    """Stage to narrow and carry from; the previous stage by default."""
    carry: Annotated[int, Field(ge=0)] = 0
    """Number of the parent's best points to repeat with new seeds, as the first trials."""
    sampler: fields.Sampler = "random"
    """How points are drawn: `"random"`, independently; `"sobol"`, evenly spread; or by another package."""
    epochs: fields.Epochs | None = None
    """Epochs of a trial; by default those of `[model]` or of the campaign."""
    gpus: fields.Gpus | None = None
    """GPUs of each trial of an objective or a command; by default those of the campaign."""
    stack: fields.Stack = "auto"
    """Most trials that train together. `"auto"`: as many as train fastest; of an objective 16 if batched, else 1."""
    pruner: fields.Pruner = "none"
    """Which trials end early: `"none"`; `"halving"`, by successive halving; `"hyperband"`; or by another package."""


if TYPE_CHECKING:
    _Options = _PlannedStage
else:
    _Options = create_model("_Options", __base__=_PlannedStage, **fields.halving_fields())


class Stage(_Options):
    """`[[stage]]`: one study, with ranges of its own or ranges narrowed from its parent.

    The network's settings are fields of their own (`eta`, `lambda` …); the parameters of an objective are its `space`.
    So are the options of halving; those of other pruners are in the table `pruner`.
    """

    @model_validator(mode="after")
    def _check_fields_together(self, info: ValidationInfo) -> Self:
        # Of a stored campaign, the ranges of a setting whose package is missing are not read.
        if bool(self.own_ranges) == (self.narrow is not None) and not fields.is_stored(info):
            raise ValueError("give either ranges, such as eta = [0.001, 0.3], or [stage.narrow]")
        if self.space is not None and self._network_ranges:
            raise ValueError("give ranges of the network's settings, or the space of an objective, not both")
        self._check_halving_options()
        if self.carry > self.trials:
            raise ValueError(f"carry = {self.carry} is more than its {self.trials} trials")
        return self

    def _check_halving_options(self) -> None:
        """Refuse the options of halving as keys of the stage if its pruner is another one, or has a table."""
        options = fields.HALVING_OPTIONS
        given = [name for name, option in options.items() if getattr(self, name) != option.default]
        if not given or self.pruner == fields.HALVING:
            return
        if self.pruner_name == fields.HALVING:
            raise ValueError(f"the pruner has a table: put {' and '.join(given)} into it, or remove the table")
        raise ValueError(f'{" and ".join(options)} need pruner = "{fields.HALVING}": add that, or remove them')

    @property
    def own_ranges(self) -> Mapping[str, Dimension]:
        """Return the ranges that the campaign gives this stage; empty if it is narrowed."""
        return self._network_ranges if self.space is None else self.space

    @property
    def pruner_name(self) -> str:
        """Return the name of its pruner."""
        return self.pruner if isinstance(self.pruner, str) else self.pruner.name

    def pruning(self, epochs: int) -> Pruning:
        """Return how it prunes, with this number of epochs; raise `ValueError` if it cannot."""
        if isinstance(self.pruner, str):
            names = fields.HALVING_OPTIONS if self.pruner == fields.HALVING else ()
            return Pruning.of(self.pruner, {name: getattr(self, name) for name in names}, epochs)
        return Pruning.of(self.pruner.name, self.pruner.options, epochs)

    @property
    def _network_ranges(self) -> dict[str, Dimension]:
        own = {name: getattr(self, name) for name in NAMES}
        return {name: dimension for name, dimension in own.items() if dimension is not None}


class Confirm(Section):
    """`[confirm]`: the last stage, which trains the best settings of all others again on new seeds."""

    top: Annotated[int, Field(ge=1, le=100)] = 6
    """Number of settings to train again: the best of all stages."""
    seeds: Annotated[int, Field(ge=2, le=1000)] = 6
    """Number of new seeds, the same for each setting."""
    near: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Leave out a setting this close to a better one: in decades, or as a share of a linear range."""
    epochs: fields.Epochs | None = None
    """Epochs of a training; by default those of `[model]` or of the campaign."""

    @property
    def name(self) -> str:
        """Return the stage's name."""
        return CONFIRM

    @property
    def trials(self) -> int:
        """Return the largest number of slots; there are fewer if the search finds fewer different settings."""
        return self.top * self.seeds


class FinalSettings(Section):
    """`[final]`: the long training of the winner, once for each seed.

    For user code it is the last stage, and trains the winner's point once for each seed.
    """

    epochs: fields.Epochs = 30
    """Epochs of the final training; of an objective by default those of the campaign."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of trainings, which networks do together: the winner's seed first, then others."""
    decay: fields.Decay | None = None
    """Factor on η after each epoch; by default that of `[model]`, or the winner's if it was searched."""
    on_validation: bool = False
    """Whether to train on the validation images, too."""

    @property
    def name(self) -> str:
        """Return the name of the stage that it is for user code."""
        return FINAL

    @property
    def trials(self) -> int:
        """Return the number of trainings."""
        return self.seeds

    def seeds_after(self, own: int) -> tuple[int, ...]:
        """Return the seeds of all trainings: the winner's own, and more that are derived from it."""
        others = [np.random.SeedSequence(own, spawn_key=(k,)).generate_state(1) for k in range(1, self.seeds)]
        return (own, *(int(state[0]) for state in others))


AnyStage = Stage | Confirm | FinalSettings
"""One study of a campaign."""
