"""Tells which of a storage's studies are stages of campaigns, and which of their trials a page can draw.

Anybody may write into a storage. A study whose attributes or trials are not as Coarsefine writes them must not take the
page of the others down: it is left out, and the page says so.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from optuna.trial import FrozenTrial, TrialState
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from coarsefine.search.campaign.dimension import Choice, Integer, from_json
from coarsefine.search.campaign.fields import Name
from coarsefine.search.campaign.schema import CONFIRM
from coarsefine.search.campaign.space import Space
from coarsefine.search.campaign.winner import Candidate
from coarsefine.search.results.final_result import FinalResult
from coarsefine.search.results.status import TRAINING, planned_stages
from coarsefine.search.results.study import point_of

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Losses = list[_Finite | None]


class InvalidStudy(Exception):  # noqa: N818 - what it is, not how it is told
    """A study that is no stage of a campaign, though it says so; the message is a sentence."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=False, extra="ignore", populate_by_name=False)


def _range(form: Any) -> Any:
    dimension = from_json(form)
    if isinstance(dimension, Choice):
        _OPTIONS.validate_python(dimension.options)
        return form
    low, high = _BOUNDS.validate_python((dimension.low, dimension.high))
    if isinstance(dimension, Integer):
        _STEP.validate_python(dimension.step)
    if low > high or (dimension.axis == "log" and low <= 0):
        raise ValueError("no range")
    return form


_OPTIONS = TypeAdapter(Annotated[tuple[str | bool | int | _Finite, ...], Field(min_length=1)])
_BOUNDS, _STEP = TypeAdapter(tuple[_Finite, _Finite]), TypeAdapter(Annotated[int, Field(ge=1)])
_Ranges = Annotated[dict[str, Annotated[Any, AfterValidator(_range)]], Field(min_length=1)]


class _Planned(_Part):
    name: Name
    trials: Annotated[int, Field(ge=1)]
    narrow: Any
    parent: str | None
    epochs: int | None


class _Model(_Part):
    epochs: Annotated[int, Field(ge=1)]


class _Confirm(_Part):
    top: Annotated[int, Field(ge=1)]
    seeds: Annotated[int, Field(ge=2)]
    epochs: int | None = None


class _Config(_Part):
    name: Name
    seed: Annotated[int, Field(ge=0)]
    model: _Model | None = None
    objective: str | None = None
    epochs: int | None = None
    stage: Annotated[list[_Planned], Field(min_length=1)]
    confirm: _Confirm | None = None


class _Finalist(_Part):
    study: str
    number: Annotated[int, Field(ge=0)]
    value: _Finite


class _Data(_Part):
    description: str


class _Objective(_Part):
    name: str


class _Attrs(_Part):
    campaign: Name
    stage: Name
    parent: str | None
    space: _Ranges
    config: _Config
    data: _Data | None = None
    objective: _Objective | None = None
    narrowed_from: list[int] = []
    rule: str = ""
    pressed: list[str] = []
    carried: list[dict[str, int]] = []
    final: dict[str, Any] | None = None
    finalists: list[_Finalist] | None = None


class _Slot(_Part):
    seed: Annotated[int, Field(ge=0)]
    reason: str = ""
    train_loss: _Losses = []
    validation_loss: _Losses = []


_FRACTIONS = TypeAdapter(Annotated[tuple[_Finite, ...], Field(min_length=1)])
_SLOT, _VALUES = TypeAdapter(_Slot), TypeAdapter(Annotated[list[_Finite], Field(min_length=1, max_length=1)])


def check_study(name: str, attrs: Mapping[str, Any]) -> None:
    """Raise `InvalidStudy` unless a study's name and attributes are those of a stage of a campaign."""
    try:
        told = _Attrs.model_validate(attrs)
        for one in (
            *([told.final] if told.final is not None else []),
            *(value for key, value in attrs.items() if key.startswith(TRAINING)),
        ):
            final = FinalResult.from_attr(one)
            datetime.fromisoformat(final.ended)
            _FRACTIONS.validate_python(final.test_accuracies)
    except ValidationError as error:
        raise InvalidStudy(f"The study {name} is not as Coarsefine writes it: {_first(error)}.") from error
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidStudy(f"The study {name} is not as Coarsefine writes it: final: {error}.") from error
    _check_subject(name, told)
    _check_points(name, attrs)
    planned = [stage.name for stage in told.config.stage if told.finalists is None]
    if told.finalists and told.config.confirm:
        planned = [CONFIRM]
    if told.config.name != told.campaign or told.stage not in planned or name != f"{told.campaign}/{told.stage}":
        raise InvalidStudy(f"The study {name} says it is stage {told.stage} of {told.campaign}, which cannot be.")


def _check_subject(name: str, told: _Attrs) -> None:
    of_network = told.data is not None and told.config.model is not None and told.config.objective is None
    if not of_network and (told.objective is None or told.objective.name != told.config.objective):
        raise InvalidStudy(f"The study {name} does not say what it trained: a network on its data, or an objective.")


def _check_points(name: str, attrs: Mapping[str, Any]) -> None:
    space, first = Space.from_dict(attrs["space"]), planned_stages(attrs["config"])[0]
    if list(space) != list(first["space"] or ()):
        raise InvalidStudy(f"The study {name} searches {', '.join(space)}, which is not what its campaign searches.")
    try:
        sound = all(space.contains(Candidate.from_dict(told).point) for told in attrs.get("finalists") or ())
    except (KeyError, AttributeError, TypeError):
        sound = False
    if not sound:
        raise InvalidStudy(f"The study {name} has finalists that are no points of it.")


def is_slot(trial: FrozenTrial) -> bool:
    """Tell whether a trial is a slot: what else somebody put into a study has no seed."""
    return "seed" in trial.user_attrs


def is_valid(slot: FrozenTrial, space: Space) -> bool:
    """Tell whether a slot holds what Coarsefine writes: a point of its study's space, seed, losses, at last a value."""
    if not space.contains(point_of(slot)):
        return False
    try:
        _SLOT.validate_python(slot.user_attrs)
        if slot.state is TrialState.COMPLETE:
            _VALUES.validate_python(slot.values)
    except ValidationError:
        return False
    return True


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
