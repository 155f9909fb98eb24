"""Tells which of a storage's studies are stages of campaigns, and which of their trials a page can draw.

Anybody may write into a storage. A study whose attributes or trials are not as Coarsefine writes them must not take the
page of the others down: it is left out, and the page says so.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from search.campaign import CONFIRM, Name
from search.status import Final

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[_Finite, Field(gt=0)]
_Losses = list[_Finite | None]


class UnsoundStudy(Exception):  # noqa: N818 - what it is, not how it is told
    """A study that is no stage of a campaign, though it says so; the message is a sentence."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=False, extra="ignore", populate_by_name=False)


class _Ranges(_Part):
    eta: tuple[_Positive, _Positive]
    lam: Annotated[tuple[_Positive, _Positive], Field(alias="lambda")]


class _Planned(_Part):
    name: Name
    trials: Annotated[int, Field(ge=1)]
    eta: tuple[_Positive, _Positive] | None
    lam: Annotated[tuple[_Positive, _Positive] | None, Field(alias="lambda")]
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
    model: _Model
    stage: Annotated[list[_Planned], Field(min_length=1)]
    confirm: _Confirm | None = None


class _Finalist(_Part):
    study: str
    number: Annotated[int, Field(ge=0)]
    eta: _Positive
    lam: Annotated[_Positive, Field(alias="lambda")]
    value: _Finite


class _Data(_Part):
    description: str


class _Attrs(_Part):
    campaign: Name
    stage: Name
    parent: str | None
    space: _Ranges
    config: _Config
    data: _Data
    narrowed_from: list[int] = []
    rule: str = ""
    pressed: list[str] = []
    carried: list[dict[str, int]] = []
    final: Final | None = None
    finalists: list[_Finalist] | None = None


class _Params(_Part):
    eta: _Positive
    lam: Annotated[_Positive, Field(alias="lambda")]


class _Slot(_Part):
    params: _Params
    seed: Annotated[int, Field(ge=0)]
    reason: str = ""
    train_loss: _Losses = []
    validation_loss: _Losses = []


_SLOT, _VALUES = TypeAdapter(_Slot), TypeAdapter(Annotated[list[_Finite], Field(min_length=1, max_length=1)])


def check_study(name: str, attrs: Mapping[str, Any]) -> None:
    """Raise `UnsoundStudy` unless a study's name and attributes are those of a stage of a campaign."""
    try:
        told = _Attrs.model_validate(attrs)
        if told.final is not None:
            datetime.fromisoformat(Final(**attrs["final"]).ended)
    except ValidationError as error:
        raise UnsoundStudy(f"The study {name} is not as Coarsefine writes it: {_first(error)}.") from error
    except (TypeError, ValueError) as error:
        raise UnsoundStudy(f"The study {name} is not as Coarsefine writes it: final: {error}.") from error
    planned = [stage.name for stage in told.config.stage if told.finalists is None]
    if told.finalists and told.config.confirm:
        planned = [CONFIRM]
    if told.config.name != told.campaign or told.stage not in planned or name != f"{told.campaign}/{told.stage}":
        raise UnsoundStudy(f"The study {name} says it is stage {told.stage} of {told.campaign}, which cannot be.")


def is_slot(trial: FrozenTrial) -> bool:
    """Tell whether a trial is a slot: what else somebody put into a study has no seed."""
    return "seed" in trial.user_attrs


def is_sound(slot: FrozenTrial) -> bool:
    """Tell whether a slot holds what Coarsefine writes: point, seed, losses, one finite value once it is completed."""
    try:
        _SLOT.validate_python({**slot.user_attrs, "params": slot.params})
        if slot.state is TrialState.COMPLETE:
            _VALUES.validate_python(slot.values)
    except ValidationError:
        return False
    return True


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
