"""Check which studies of a storage are stages of campaigns, and which of their trials can be shown.

Anybody may write into a storage. A study whose attributes or trials are not as Coarsefine writes them must not hide the
others: pages, `status`, `list` and reports leave it out and name it.
"""

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from math import isfinite
from typing import Annotated, Any

from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from coarsefine.model.extensions import missing_packages
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.fields import Name
from coarsefine.search.campaign.json_form import SpaceField, first_problem
from coarsefine.search.campaign.sections import CONFIRM, FINAL
from coarsefine.search.campaign.space import Space
from coarsefine.search.campaign.winner import Candidate
from coarsefine.search.results.final_result import TRAINING, FinalResult
from coarsefine.search.results.study import point_of
from coarsefine.search.storage.readable_trials import Unreadable
from coarsefine.search.storage.tables import FINAL_TRAINING, IDENTITY, SEED

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Losses = list[_Finite | None]


class InvalidStudy(Exception):  # noqa: N818 - names what was found, not that it is an error
    """A study that says it is a stage of a campaign, and is not; the message is a sentence."""


class RenamedStudy(InvalidStudy):
    """A study that is a stage of a campaign but for its name: renamed by another program, or a copy."""


class _Data(BaseModel):
    description: str


class _Objective(BaseModel):
    name: str
    digest: str
    source: str | None = None
    files: dict[str, str] | None = None


class _Accepted(BaseModel):
    time: str
    before: dict[str, Any] = {}
    earlier: str = Field(alias="from")
    to: str
    diff: str | None = None


class _Versions(BaseModel):
    versions: dict[str, str] = {}
    arithmetic: str | None = None


class _AcceptedVersions(BaseModel):
    time: str
    earlier: _Versions = Field(alias="from")
    to: _Versions


class _Retried(BaseModel):
    time: str
    trials: list[int]
    opened: list[str]


class _Attrs(BaseModel):
    campaign: Name
    stage: Name
    parent: str | None
    space: SpaceField
    config: dict[str, Any]
    data: _Data | None = None
    objective: _Objective | None = None
    versions: dict[str, str] = {}
    accepted: list[_Accepted] = []
    accepted_versions: list[_AcceptedVersions] = []
    retried: list[_Retried] = []
    narrowed_from: list[int] = []
    rule: str = ""
    pressed: list[str] = []
    carried: list[dict[str, int]] = []
    finalists: list[dict[str, Any]] = []
    winner: dict[str, Any] | None = None


class _Slot(BaseModel):
    seed: Annotated[int, Field(ge=0)]
    reason: str = ""
    train_loss: _Losses = []
    validation_loss: _Losses = []
    metrics: dict[str, _Losses] = {}
    worker: str = ""


_SLOT, _VALUES = TypeAdapter(_Slot), TypeAdapter(Annotated[list[_Finite], Field(min_length=1, max_length=1)])
_ATTRS = {name: TypeAdapter[Any](kind) for name, kind in _Slot.__annotations__.items() if name != SEED}
_MISSING: Any = object()
_TIMES = ("datetime_start", "datetime_complete")
_FIRST, _LAST = datetime(1971, 1, 1), datetime(2900, 1, 1)  # noqa: DTZ001 - like Optuna's times, without a zone
"""Between these, each time has a timestamp on every system."""


def check_study(name: str, attrs: Mapping[str, Any]) -> None:
    """Raise `InvalidStudy` unless a study's name and attributes are those of a stage of a campaign.

    If only its name is another one, that is a `RenamedStudy`.
    """
    try:
        study, campaign = _read_attrs(attrs)
        finalists = [Candidate.from_dict(form) for form in study.finalists]
        _check_finals(attrs)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidStudy(f"The study {name} is not as Coarsefine writes it: {error}.") from error
    _check_workload(name, study, campaign)
    # Without its package, the ranges of a setting are not read.
    if list(study.space) != list(campaign.bounds_of(campaign.stage[0])) and not missing_packages(study.versions):
        searched = ", ".join(study.space)
        raise InvalidStudy(f"The study {name} searches {searched}, which is not what its campaign searches.")
    if not all(study.space.contains(finalist.point) for finalist in finalists):
        raise InvalidStudy(f"The study {name} has finalists that are no points of it.")
    if "finalists" not in attrs and study.winner is None:
        planned = [stage.name for stage in campaign.stage]
    else:
        kind = FINAL if study.winner is not None else CONFIRM if finalists else ""
        planned = [stage.name for stage in campaign.stages[len(campaign.stage) :] if stage.name == kind]
    says = f"The study {name} says it is stage {study.stage} of {study.campaign}, which cannot be."
    if campaign.name != study.campaign or study.stage not in planned:
        raise InvalidStudy(says)
    if name != f"{study.campaign}/{study.stage}":
        raise RenamedStudy(says) if IDENTITY in attrs else InvalidStudy(says)


def _read_attrs(attrs: Mapping[str, Any]) -> tuple[_Attrs, Campaign]:
    """Return a study's attributes and its campaign; raise `ValueError` with the first thing that is wrong."""
    where = ""
    try:
        study = _Attrs.model_validate_json(json.dumps({key: attrs[key] for key in _Attrs.model_fields if key in attrs}))
        where = "config."
        return study, Campaign.from_stored(study.config)
    except ValidationError as error:
        raise ValueError(f"{where}{first_problem(error)}") from error


def _check_finals(attrs: Mapping[str, Any]) -> None:
    for key, form in attrs.items():
        if key == FINAL_TRAINING or key.startswith(TRAINING):
            try:
                datetime.fromisoformat(FinalResult.from_dict(form).ended)
            except ValueError as error:
                raise ValueError(f"final: {error}") from error


def _check_workload(name: str, study: _Attrs, campaign: Campaign) -> None:
    is_network = study.data is not None and campaign.of_network
    if not is_network and (study.objective is None or study.objective.name != campaign.user_code):
        raise InvalidStudy(
            f"The study {name} does not say what it trained: a network on its data, an objective, or a command."
        )


def valid_slots(
    slots: Iterable[FrozenTrial], space: Space, checked: Container[int] = ()
) -> tuple[tuple[FrozenTrial, ...], tuple[Unreadable, ...]]:
    """Return the slots that hold what Coarsefine writes, and the others; `checked` are the ids of objects that do."""
    found = tuple(slots)
    suspects = _suspects([slot for slot in found if id(slot) not in checked], space)
    invalid = {id(slot): slot.number for slot in suspects if not _is_valid(slot, space)}
    if not invalid:
        return found, ()
    left_out = tuple(Unreadable(number, "not as Coarsefine writes it") for number in invalid.values())
    return tuple(slot for slot in found if id(slot) not in invalid), left_out


def _suspects(slots: Sequence[FrozenTrial], space: Space) -> list[FrozenTrial]:
    """Return the slots that need a check of their own, all others being valid: found by reading column by column."""
    starts, ends = ([at for slot in slots if (at := getattr(slot, name))] for name in _TIMES)
    steps = chain.from_iterable(slot.intermediate_values.values() for slot in slots)
    if not all(_FIRST < at < _LAST for at in (*starts, *ends)) or {*map(type, steps)} - {float}:
        return [*slots]
    attrs = [slot.user_attrs for slot in slots]
    places = space.outside([slot.params for slot in slots])
    places |= {place for place, own in enumerate(attrs) if type(own[SEED]) is not int or own[SEED] < 0}
    places |= {place for place, slot in enumerate(slots) if slot.state is TrialState.COMPLETE and not _has_value(slot)}
    for name, kind in _ATTRS.items():
        places |= _unlike([own.get(name, _MISSING) for own in attrs], kind)
    return [slots[place] for place in sorted(places)]


def _has_value(slot: FrozenTrial) -> bool:
    values = slot.values
    return values is not None and len(values) == 1 and type(values[0]) is float and isfinite(values[0])


def _unlike(values: Sequence[Any], kind: TypeAdapter[Any]) -> set[int]:
    """Return the places of values that are not of a kind; one object in many places is checked once."""
    unlike = {key for key, value in {id(each): each for each in values}.items() if not _fits(value, kind)}
    return {place for place, value in enumerate(values) if id(value) in unlike} if unlike else set()


def _fits(value: Any, kind: TypeAdapter[Any]) -> bool:
    try:
        return value is _MISSING or kind.validate_python(value) is not _MISSING
    except ValidationError:
        return False


def _is_valid(slot: FrozenTrial, space: Space) -> bool:
    """Return whether a slot has a point of the space, a seed, losses, a final value, and times that there can be."""
    try:
        _SLOT.validate_python(slot.user_attrs)
        if slot.state is TrialState.COMPLETE:
            _VALUES.validate_python(slot.values)
        for moment in (slot.datetime_start, slot.datetime_complete):
            if moment is not None:
                moment.timestamp()
        steps = slot.intermediate_values
        return space.contains(point_of(slot)) and all(type(value) is float for value in steps.values())
    except (ValidationError, ValueError, TypeError, OverflowError):
        return False
