"""The form of the JSON answers, as OpenAPI publishes it; the names are those of the command line's JSON."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from coarsefine.search.campaign.dimension import Value

State = Literal["running", "interrupted", "failed", "done"]
TrialState = Literal["RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


class Uniform(_Answer):
    """A range of real numbers, from low to high."""

    uniform: tuple[float, float]


class Integer(_Answer):
    """A range of whole numbers, from low to high; with `log`, log-uniform."""

    integer: tuple[int, int]
    step: int | None = None
    log: bool | None = None


class Choice(_Answer):
    """Options."""

    choice: list[Value]


LogUniform = Annotated[tuple[float, float], Field(description="a log-uniform range, from low to high")]
Space = Annotated[dict[str, LogUniform | Uniform | Integer | Choice], Field(description="by hyperparameter")]
Params = Annotated[dict[str, Value], Field(description="the point, by hyperparameter")]


class Best(_Answer):
    """A completed trial; its value is an accuracy on the validation images, from 0 to 1."""

    number: int
    params: Params
    value: float
    seed: int


class Counts(_Answer):
    """How many trials of a stage are planned, and how they stand."""

    name: str
    trials: int
    completed: int
    pruned: int
    diverged: int
    failed: int
    waiting: int
    running: int


class Carried(_Answer):
    """A trial at the point of one of the parent's best, on a fresh seed."""

    number: int
    of: Annotated[int, Field(alias="from")]


class Searched(_Answer):
    """A hyperparameter that is searched."""

    name: str
    symbol: str


class Axis(_Answer):
    """What an axis of the map may show."""

    name: str
    title: str


class Stage(Counts):
    """A stage. What is not known before it opens is null."""

    study: str
    space: Space | None
    parent: str | None
    best: list[Best]
    epochs: Annotated[int, Field(description="of a trial that trains to its end")]
    epochs_recorded: Annotated[int, Field(description="of all trials together")]
    narrowed_from: Annotated[list[int] | None, Field(description="numbers of the parent's trials the ranges are from")]
    rule: str | None
    pressed: Annotated[list[str], Field(description="bounds that the parent's best trials press against")]
    carried: list[Carried]
    finalists: Annotated[int | None, Field(description="how many settings it trains again, if it is there for that")]
    seconds_left: float | None
    study_id: int | None
    dashboard: Annotated[str | None, Field(description="path of its page in optuna-dashboard")]


class Estimate(_Answer):
    """A mean over seeds, with its standard error and its 95 % interval."""

    mean: float
    error: float
    low: float
    high: float
    n: int


class Winner(Best):
    """The best trial of all stages, or the winner among the finalists once they were trained again."""

    stage: str
    confirmed: Annotated[Estimate | None, Field(description="what it came to on fresh seeds")]


class Finalist(_Answer):
    """One of the best settings, after it was trained again on fresh seeds, the same for all."""

    study: str
    number: int
    params: Params
    value: Annotated[float, Field(description="in the search: optimistic, since it was chosen for it")]
    values: Annotated[list[float | None], Field(description="by seed; null where it failed")]
    confirmed: Estimate | None
    behind: Annotated[Estimate | None, Field(description="how far the leader is ahead, seed by seed")]
    probability_best: float


class Tied(_Answer):
    """A finalist that these seeds cannot tell from the leader."""

    study: str
    number: int


class Verdict(_Answer):
    """Who won among the finalists, and how surely."""

    finalists: list[Finalist]
    tied: list[Tied]
    optimism: Annotated[float | None, Field(description="by how much the search's best value was too high")]
    verdict: str


class Reproduction(_Answer):
    """How the trial came out when it was trained once more, before the final training."""

    exact: bool
    difference: float
    like: Annotated[bool, Field(description="whether the machine rounds as that of the trial did")]


class FinalResult(_Answer):
    """A final training; accuracies without a plural are means over its seeds."""

    study: Annotated[str, Field(description="of the trial that was trained")]
    number: int
    params: dict[str, float | int | str | bool]
    epochs: int
    images: Annotated[list[int], Field(description="how many were trained on, were for validation, and for the test")]
    made_by: Annotated[str, Field(description="versions and arithmetic of the machine that trained it")]
    seeds: list[int]
    decay: float
    on_validation: Annotated[bool, Field(description="whether validation images were trained on, too")]
    train_accuracy: float
    validation_accuracy: Annotated[float | None, Field(description="null where they were trained on")]
    test_accuracy: float
    train_accuracies: list[float]
    validation_accuracies: list[float]
    test_accuracies: list[float]
    test: Annotated[Estimate | None, Field(description="test accuracy over seeds; null of a single one")]
    ensemble_accuracy: Annotated[float, Field(description="on test images, of the mean of all probabilities")]
    reproduction: Reproduction
    export: Annotated[str, Field(description="digest of the export that was trained")]
    folder: str
    seconds: float
    ended: Annotated[str, Field(description="when, in UTC: the moment at which test images were used")]


class Campaign(_Answer):
    """How a campaign stands."""

    campaign: str
    state: State
    seconds: float
    objective: Annotated[str | None, Field(description="the function it searches; null where that is the network")]
    data: Annotated[str, Field(description="what it trains on")]
    searched: Annotated[list[Searched], Field(description="in the order of the points")]
    axes: Annotated[list[Axis], Field(description="what the map's `x` and `y` may be; without these, the first two")]
    validation_images: int | None
    stages: list[Stage]
    winner: Winner | None
    confirm: Verdict | None
    final: FinalResult | None
    trainings: Annotated[list[FinalResult], Field(description="other final trainings, by `train`")]
    problems: Annotated[list[str], Field(description="what is left out, and why")]
    revision: Annotated[int, Field(description="grows with every change")]


class Listed(_Answer):
    """A campaign in a list."""

    campaign: str
    state: State
    seconds: float
    stages: list[Counts]


class Campaigns(_Answer):
    """The campaigns of the storage, in the order they were begun."""

    campaigns: list[Listed]
    problems: list[str]


class BestOfStage(_Answer):
    """The best trials of a stage."""

    name: str
    study: str
    best: list[Best]


class BestOfAll(_Answer):
    """The best trials of each stage, and the winner."""

    campaign: str
    stages: list[BestOfStage]
    winner: Winner | None
    confirm: Verdict | None


class Trial(_Answer):
    """A trial in a row; `last` is its accuracy after the newest recorded epoch, times are in UTC."""

    number: int
    state: TrialState
    params: Params
    value: float | None
    last: float | None
    seed: int
    epochs: int
    reason: str | None
    started: str | None
    ended: str | None


class Trials(_Answer):
    """A page of a stage's trials."""

    total: int
    offset: int
    limit: int
    trials: list[Trial]


class TrialInFull(Trial):
    """A trial with its accuracy and losses after each epoch; null where a loss was not finite."""

    study: str
    values: list[float | None]
    train_loss: list[float | None]
    validation_loss: list[float | None]


class Figure(BaseModel):
    """A figure for Plotly."""

    data: list[dict[str, Any]]
    layout: dict[str, Any]
