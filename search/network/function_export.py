"""The schema of the export of a trial of user code: its point and values, and what trained it.

`coarsefine.search.engine.retraining` trains it again.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.fields import Name
from coarsefine.search.campaign.json_form import first_problem
from coarsefine.search.campaign.sections import FinalSettings
from coarsefine.search.campaign.winner import Verdict
from coarsefine.search.network.export_schema import SCHEMA_VERSION, Ancestor, Digest, Number, Origin, Params, Part

_Value = Annotated[float, Field(allow_inf_nan=False)]


class FunctionTrial(Part):
    """The exported trial."""

    stage: Name
    study: str
    number: Number
    seed: Number
    params: Params
    value: _Value
    values: list[_Value]
    """Its value after each epoch."""
    metrics: dict[str, list[_Value | None]]
    """Its further metrics after each epoch."""


class SourceOfTrials(Part):
    """A version of the source of user code."""

    digest: Digest
    """SHA-256 of the file, or of a command's files."""
    accepted: str | None
    """When the change to it was accepted; None for the first version."""
    trials: dict[str, list[Number]]
    """The numbers of the trials that ended with it, by stage."""
    source: str | None
    """Its text; None if the studies do not keep it."""
    files: dict[str, str] | None
    """The digests of a command's files, by name."""

    @property
    def as_attr(self) -> dict[str, Any]:
        """Return the keys that identify the version in the attribute `objective` of a study."""
        found = {"digest": self.digest, "source": self.source, "files": self.files}
        return {key: value for key, value in found.items() if value is not None}


class FunctionExport(Part):
    """An export of a trial of user code."""

    coarsefine_export: Annotated[int, Field(ge=1, le=SCHEMA_VERSION)]
    """Version of the schema."""
    digest: Digest
    """SHA-256 of all other fields except the platform and the folders."""
    campaign: Origin
    config: dict[str, Any]
    """The campaign, as its studies store it."""
    objective: dict[str, Any]
    """What was searched: a function with the digest of its file, for example. Of several versions, the last one."""
    sources: Annotated[list[SourceOfTrials], Field(exclude_if=lambda found: not found)] = Field(default_factory=list)
    """The versions that the campaign was searched with, oldest first; none in exports of earlier Coarsefine."""
    trial: FunctionTrial
    chosen: Literal["winner", "named"]
    """Whether the campaign chose the trial, or a user named it."""
    final: FinalSettings | None
    """The campaign's [final]: the defaults of `train`."""
    runs: list[dict[str, Any]]
    """The winner's trainings for [final]: number, seed, value and metrics of each."""
    lineage: Annotated[list[Ancestor], Field(min_length=1)]
    evidence: Verdict | None
    versions: dict[str, str]
    folders: dict[str, str]
    """Copies of the folders of the trial and of the final trainings, by trial: paths from the export's own folder."""
    platform: str

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        try:
            campaign = Campaign.from_stored(self.config)
        except ValidationError as error:
            raise ValueError(f"config.{first_problem(error)}") from error
        if self.trial.stage not in {stage.name for stage in campaign.stages} or campaign.name != self.campaign.name:
            raise ValueError(f"its campaign has no stage {self.trial.stage!r}")
        if self.trial.params.keys() != campaign.bounds_of(campaign.stage[0]).keys():
            raise ValueError("its trial has other parameters than its campaign")
        return self
