"""What an export holds: the schema of its file, checked when it is read. `export` makes and reads them."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from coarsefine.model import Hyperparameters, TrainingSettings
from coarsefine.model.datasets import Dataset
from coarsefine.model.errors import DataError
from coarsefine.search.campaign import labels
from coarsefine.search.campaign.dimension import Value
from coarsefine.search.campaign.fields import Name
from coarsefine.search.campaign.schema import Data, FinalSettings
from coarsefine.search.campaign.space import Space

SCHEMA_VERSION = 1
"""Count it up when what read the old schema could not read the new one."""
Params = Annotated[dict[str, Value], Field(min_length=1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Origin(_Part):
    """The campaign it comes from."""

    name: Name
    fingerprint: Digest
    """Of what a begun campaign is held to."""


class Trial(_Part):
    """The trial itself."""

    stage: Name
    study: str
    number: Number
    seed: Number
    params: Params
    """Its point, by the names of the search space."""
    values: Annotated[list[Fraction], Field(min_length=1)]
    """Validation accuracy after each epoch."""
    arithmetic: str
    """What rounded its products (`coarsefine.search.training.identity`)."""


class TrialSettings(_Part):
    """All that the trial was trained with, searched or not."""

    eta: Annotated[float, Field(gt=0)]
    lam: Annotated[float, Field(alias="lambda", ge=0)]
    rho: Annotated[float, Field(ge=0, lt=1)]
    decay: Annotated[float, Field(gt=0, le=1)]
    hidden: Annotated[int, Field(ge=1, le=100_000)]
    batch: Annotated[int, Field(ge=1)]
    epochs: Annotated[int, Field(ge=1, le=100_000)]
    order: Literal["shuffled", "fixed"]
    order_seed: Number
    precision: Literal["float32", "float64"]
    mirror: bool


class Ancestor(_Part):
    """A stage that led to it, or was judged beside it."""

    stage: Name
    study: str
    parent: str | None
    trials: Number
    completed: Number
    space: dict[str, Any]
    rule: str
    """How the ranges came from the parent's best trials; empty where they were given."""
    narrowed_from: list[Number]
    """Those trials' numbers."""

    @model_validator(mode="after")
    def _space_is_one(self) -> Self:
        try:
            labels.ranges(Space.from_dict(self.space))  # of bounds that are numbers
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ValueError(f"its space is none: {error}") from error
        return self


class Interval(_Part):
    """A mean over seeds with its confidence interval."""

    mean: float
    error: float
    low: float
    high: float
    n: int


class Finalist(_Part):
    """One of the best settings, trained again on fresh seeds."""

    study: str
    number: Number
    params: Params
    value: Fraction
    values: list[Fraction | None]
    confirmed: Interval | None
    behind: Interval | None
    probability_best: Fraction


class Tied(_Part):
    """A finalist that the seeds cannot tell from the leader."""

    study: str
    number: Number


class Evidence(_Part):
    """The finalists, and the verdict on them."""

    finalists: list[Finalist]
    tied: list[Tied]
    optimism: float | None
    verdict: str


class Images(_Part):
    """What it was trained on."""

    digest: Digest
    """SHA-256 of the raw pixels and labels of the three parts."""
    description: str
    selection: Data
    """The campaign's [data]: which images are which part."""

    def check(self, found: Dataset) -> None:
        """Raise `DataError` where other images are at hand."""
        if found.digest != self.digest:
            raise DataError(
                f"The export was made with other images: {self.description}, digest {self.digest[:12]}…; at hand "
                f"are {found.description}, {found.digest[:12]}…. Name those it was made with by --data."
            )


class Export(_Part):
    """The whole file."""

    coarsefine_export: Annotated[int, Field(ge=1, le=SCHEMA_VERSION)]
    """The schema's version."""
    digest: Digest
    """SHA-256 of the rest, but for the platform."""
    campaign: Origin
    trial: Trial
    chosen: Literal["winner", "named"]
    """Whether the campaign chose it, or somebody by hand."""
    settings: TrialSettings
    final: FinalSettings
    """The campaign's [final]: how `train` trains it, unless told otherwise."""
    lineage: Annotated[list[Ancestor], Field(min_length=1)]
    evidence: Evidence | None
    """None where the campaign had no finalists, or the trial was named by hand."""
    data: Images
    versions: dict[str, str]
    """Of the libraries that the campaign's bits come from."""
    platform: str
    """The machine that exported it: no part of the digest, so that the same trial has the same one everywhere."""

    @model_validator(mode="after")
    def _one_story(self) -> Self:
        trial, told = self.trial, self.settings.model_dump(by_alias=True)
        if len(trial.values) > self.settings.epochs:
            raise ValueError(f"the trial has {len(trial.values)} values, of {self.settings.epochs} epochs")
        if trial.study != f"{self.campaign.name}/{trial.stage}":
            raise ValueError(f"its study is {trial.study}, which is no stage '{trial.stage}' of {self.campaign.name}")
        for name, value in trial.params.items():
            if told.get(name) != value:
                raise ValueError(f"its parameter {name} is {value!r}, and it was trained with {told.get(name)!r}")
        return self

    def hyperparameters(self, seed: int, decay: float | None = None) -> Hyperparameters:
        """Return the trial's, with a seed; `decay` in place of its own where given."""
        own = self.settings
        return Hyperparameters(own.eta, own.lam, seed, own.rho, own.decay if decay is None else decay)

    def training_settings(self, epochs: int) -> TrainingSettings:
        """Return the trial's, for a training of so many epochs."""
        own = self.settings
        return TrainingSettings(own.hidden, own.batch, epochs, own.order, own.order_seed, own.precision, own.mirror)
