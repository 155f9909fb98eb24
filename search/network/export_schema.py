"""The schema of an export's file, which is validated when the file is read. `export` writes and reads exports."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, Field, create_model, model_validator

from coarsefine.model import Hyperparameters, TrainingSettings
from coarsefine.model.datasets import Dataset
from coarsefine.model.errors import DataError
from coarsefine.model.hyperparameters import Order, Precision
from coarsefine.search.campaign.dimension import Value
from coarsefine.search.campaign.fields import Epochs, Name, given_fields
from coarsefine.search.campaign.json_form import STRICT, SpaceField
from coarsefine.search.campaign.network_settings import NETWORK_SETTINGS, hyperparameters_of, training_settings_of
from coarsefine.search.campaign.sections import Data, FinalSettings
from coarsefine.search.campaign.winner import Verdict

SCHEMA_VERSION = 1
"""Increase this if code for the old schema cannot read the new one."""
Params = Annotated[dict[str, Value], Field(min_length=1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """A part of an export: it has its fields only, each of its own type."""

    model_config = STRICT


class Origin(Part):
    """The campaign that the trial belongs to."""

    name: Name
    fingerprint: Digest
    """Digest of the settings that must not change once the campaign has started."""


class ExportedTrial(Part):
    """The exported trial."""

    stage: Name
    study: str
    number: Number
    seed: Number
    params: Params
    """The trial's point, by the names of the search space."""
    values: Annotated[list[Fraction], Field(min_length=1)]
    """Validation accuracy after each epoch."""
    arithmetic: str
    """What computed the trial, which determines rounding (`coarsefine.model.arithmetic`)."""


if TYPE_CHECKING:
    _Values = Part
else:
    _Values = create_model("_Values", __base__=Part, **given_fields())


class TrialSettings(_Values):
    """All settings of the trial's training, searched or fixed."""

    epochs: Epochs
    order: Order
    order_seed: Number
    precision: Precision
    mirror: bool

    @property
    def values(self) -> dict[str, Value]:
        """Return the values of the settings that can be searched."""
        return {name: getattr(self, name) for name in NETWORK_SETTINGS}


class Ancestor(Part):
    """A stage of the campaign."""

    stage: Name
    study: str
    parent: str | None
    trials: Number
    completed: Number
    space: SpaceField
    rule: str
    """How the ranges were narrowed to the parent's best trials; empty if they were not."""
    narrowed_from: list[Number]
    """Numbers of the parent's best trials."""


class Images(Part):
    """The images that the trial was trained on."""

    digest: Digest
    """SHA-256 of the raw pixels and labels of the three parts."""
    description: str
    selection: Data
    """The campaign's [data], which says how the images are divided."""

    def check(self, found: Dataset) -> None:
        """Raise `DataError` if other images were found."""
        if found.digest != self.digest:
            raise DataError(
                f"The export was made with other images: {self.description}, digest {self.digest[:12]}…. Found were "
                f"{found.description}, digest {found.digest[:12]}…. Name the export's images by --data."
            )


class Export(Part):
    """An export."""

    coarsefine_export: Annotated[int, Field(ge=1, le=SCHEMA_VERSION)]
    """Version of the schema."""
    digest: Digest
    """SHA-256 of all other fields except the platform."""
    campaign: Origin
    trial: ExportedTrial
    chosen: Literal["winner", "named"]
    """Whether the campaign chose the trial, or a user named it."""
    settings: TrialSettings
    final: FinalSettings
    """The campaign's [final]: the defaults of `train`."""
    lineage: Annotated[list[Ancestor], Field(min_length=1)]
    evidence: Verdict | None
    """None if the campaign had no finalists, or if a user named the trial."""
    data: Images
    versions: dict[str, str]
    """Versions of the libraries that determine the campaign's bits."""
    platform: str
    """The machine that wrote the export, with the kernel's instruction set. It is not digested, so that a trial has the
    same digest everywhere."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        trial, settings = self.trial, self.settings.values
        if len(trial.values) > self.settings.epochs:
            raise ValueError(f"the trial has {len(trial.values)} values, of {self.settings.epochs} epochs")
        if trial.study != f"{self.campaign.name}/{trial.stage}":
            raise ValueError(f"its study is {trial.study}, which is not stage '{trial.stage}' of {self.campaign.name}")
        for name, value in trial.params.items():  # a setting of another package is not itself what trains a network
            if name in settings and settings[name] != value:
                raise ValueError(f"its parameter {name} is {value!r}, but it was trained with {settings[name]!r}")
        for finalist in self.evidence.finalists if self.evidence else ():
            for accuracy in (finalist.value, *finalist.values):
                if accuracy is not None and not 0 <= accuracy <= 1:
                    raise ValueError(f"its finalist {finalist.number} has the accuracy {accuracy}, not from 0 to 1")
        return self

    def hyperparameters(self, seed: int, decay: float | None = None) -> Hyperparameters:
        """Return the trial's hyperparameters with another seed and, if given, another decay."""
        changed = {} if decay is None else {"decay": decay}
        return hyperparameters_of({**self.settings.values, **changed}, seed)

    def training_settings(self, epochs: int) -> TrainingSettings:
        """Return the trial's training settings with another number of epochs."""
        return training_settings_of({**self.settings.model_dump(), "epochs": epochs})
