"""The JSON of the HTTP API, as OpenAPI publishes it: the command line's JSON, and what a page needs in addition."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from coarsefine.search.campaign.json_form import JsonForm
from coarsefine.search.campaign.metric import Metric
from coarsefine.search.results.status import StageStatus, Status
from coarsefine.search.results.trial_table import TrialRow

_Losses = tuple[float | None, ...]
"""Losses by epoch; null where the loss was not finite."""


@dataclass(frozen=True)
class Problem(JsonForm):
    """The reason why a request failed."""

    detail: str


@dataclass(frozen=True)
class Carried(JsonForm):
    """A trial at the point of one of the parent's best, on a new seed."""

    number: int
    of: Annotated[int, Field(alias="from")]


@dataclass(frozen=True)
class Searched(JsonForm):
    """A hyperparameter that is searched."""

    name: str
    symbol: str


@dataclass(frozen=True)
class Axis(JsonForm):
    """A choice for an axis of the map."""

    name: str
    title: str


@dataclass(frozen=True)
class FailedTrial(JsonForm):
    """A trial that failed, as an example of its stage's failures."""

    number: int
    reason: str


@dataclass(frozen=True)
class StageDetail(StageStatus):
    """A stage. What is not known before it opens is null."""

    failure: Annotated[FailedTrial | None, Field(description="null if none of its trials failed")]  # type: ignore[assignment]
    epochs: Annotated[int, Field(description="of a trial that trains to its end")]
    epochs_recorded: Annotated[int, Field(description="of all trials together")]
    narrowed_from: Annotated[
        tuple[int, ...] | None, Field(description="numbers of the parent's trials the ranges come from")
    ]
    rule: str | None
    pressed: Annotated[tuple[str, ...], Field(description="bounds that the parent's best trials are at")]
    carried: tuple[Carried, ...]
    finalists: Annotated[int | None, Field(description="how many settings it trains again, if it confirms")]
    is_final: Annotated[bool, Field(description="whether it trains the winner again")]
    seconds_left: float | None
    study_id: int | None
    dashboard: Annotated[str | None, Field(description="path of its page in optuna-dashboard")]


@dataclass(frozen=True, kw_only=True)
class CampaignStatus(Status):
    """The status of a campaign."""

    storage: Annotated[str, Field(exclude=True)] = ""
    stages: tuple[StageDetail, ...]
    objective: Annotated[str | None, Field(description="the function or command it searches; null for the network")]
    metric: Annotated[Metric, Field(description="what the trials are judged by")]
    data: Annotated[str, Field(description="what it trains on")]
    searched: Annotated[tuple[Searched, ...], Field(description="in the order of the points")]
    axes: Annotated[tuple[Axis, ...], Field(description="what the map's `axis` may be; by default the first two")]
    metrics: Annotated[tuple[str, ...], Field(description="further metrics that the trials reported")]
    validation_images: int | None
    seconds_in_training: Annotated[
        float | None, Field(description="with at least one trial or the final training in training; null while it runs")
    ]
    code_versions: Annotated[str | None, Field(description="a sentence, if versions of the user's code differ")]
    problems: Annotated[tuple[str, ...], Field(description="what is left out, and why")]
    revision: Annotated[int, Field(description="grows with every change")]


@dataclass(frozen=True)
class TrialPage(JsonForm):
    """A page of a stage's trials."""

    total: int
    offset: int
    limit: int
    trials: tuple[TrialRow, ...]


@dataclass(frozen=True)
class _OfStudy(JsonForm):
    study: str


@dataclass(frozen=True)
class TrialDetail(TrialRow, _OfStudy):
    """A trial with its value and losses after each epoch; null where a loss was not finite."""

    values: _Losses
    train_loss: _Losses
    validation_loss: _Losses


@dataclass(frozen=True)
class TrialLog(JsonForm):
    """The end of what a trial printed, as plain text."""

    lines: tuple[str, ...]
    size: Annotated[int, Field(description="bytes of the whole log")]
    is_whole: Annotated[bool, Field(description="whether the lines are all of the log")]


@dataclass(frozen=True)
class Figure:
    """A figure for Plotly."""

    data: list[dict[str, Any]]
    layout: dict[str, Any]
