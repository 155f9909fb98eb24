"""The settings of the network that a search may vary, by the names that campaign files and points use.

Coarsefine's own are declared by the fields of `Hyperparameters` and `TrainingSettings`. Another package can bring
a setting from whose value the value of one of these follows, such as a half-life that sets the decay.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from coarsefine.model.extensions import Group, call, described, known, load
from coarsefine.model.hyperparameters import Hyperparameters, TrainingSettings
from coarsefine.model.network_setting import NetworkSetting, settings_of
from coarsefine.search.campaign.dimension import Value
from coarsefine.search.errors import CampaignError

_OF_TRIAL, _OF_STACK = settings_of(Hyperparameters), settings_of(TrainingSettings)
_SEARCHED = {setting.field for setting in _OF_STACK.values()}
_UNSEARCHED = [field.name for field in fields(TrainingSettings) if field.name not in _SEARCHED]
NETWORK_SETTINGS: Mapping[str, NetworkSetting] = MappingProxyType(_OF_TRIAL | _OF_STACK)
"""Coarsefine's own settings, in the order of the points: those of a trial before those that a stack shares."""


def _check(found: Any) -> NetworkSetting:
    if not isinstance(found, NetworkSetting):
        raise TypeError("is not a NetworkSetting")
    if found.sets not in _OF_TRIAL:
        raise ValueError(f"sets '{found.sets}', which is none of a trial's settings ({', '.join(_OF_TRIAL)})")
    if not callable(found.value):
        raise TypeError("has no function `value`")
    for part in ("name", "field", "default", "simplest"):
        if getattr(found, part) not in {"", None}:
            raise ValueError(f"has `{part}`, which has no effect in a setting of another package: leave it out")
    return found


SETTINGS = Group("coarsefine.network_settings", "network setting", {}, _check)
"""The settings of other packages."""
KEYS = frozenset({
    "name", "trials", "space", "narrow", "parent", "carry", "sampler", "epochs", "stack", "pruner", "rungs", "factor",
    "order", "precision", "mirror", "gpus",
})  # fmt: skip
"""The other keys of `[[stage]]` and `[model]`, which no setting can have as its name."""


def _objection(name: str) -> str:
    """Return why a setting of another package cannot have this name, after "its name"; empty if it can."""
    if name in KEYS or name in NETWORK_SETTINGS:
        return "is a key of stages or [model] already"
    if not name.isidentifier() or name.startswith(("_", "model_")):
        return "must be letters, digits and '_', and not start with a digit, '_' or 'model_'"
    return "is taken by pydantic" if hasattr(BaseModel, name) else ""


def unusable_setting(name: str) -> str:
    """Return why the setting of this name that another package brings cannot be used; empty if none is the cause."""
    objection = _objection(name) if name in known(SETTINGS) else ""
    return objection and f"{described(SETTINGS, name)} cannot be used, because its name {objection}"


OTHERS = tuple(name for name in known(SETTINGS) if not _objection(name))
"""The names of the settings of other packages. Their packages are not imported before a campaign names one."""
NAMES = (*NETWORK_SETTINGS, *OTHERS)
"""The names of all settings, in the order of the points."""


def setting(name: str) -> NetworkSetting:
    """Return a setting by its name; raise `ExtensionError` if there is none, or if its package cannot be used."""
    return NETWORK_SETTINGS.get(name) or load(SETTINGS, name)


def never_widened(names: Iterable[str]) -> set[str]:
    """Return the settings among these that no stage may search beyond the user's bounds."""
    return {name for name in names if not setting(name).may_widen}


def resolved(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the values of Coarsefine's own settings, given a value for some settings.

    A setting of another package takes the place of the one that it sets. Raises `CampaignError` if it gives a value
    that is not possible, and `ExtensionError` if it fails.
    """
    own = {name: value for name, value in values.items() if name in NETWORK_SETTINGS}
    return own | dict(_derived(name, values) for name in values if name not in NETWORK_SETTINGS)


def _derived(name: str, values: Mapping[str, Value]) -> tuple[str, float]:
    """Return the setting that another package's setting sets, with its value."""
    given = setting(name)
    others = MappingProxyType({other: value for other, value in values.items() if other not in {name, given.sets}})
    derive = given.value
    assert derive is not None, "the group has checked it"  # noqa: S101
    found = call(SETTINGS, name, lambda: float(derive(values[name], others)))
    target = NETWORK_SETTINGS[given.sets]
    if not (math.isfinite(found) and target.allows(found)):
        raise CampaignError(
            f"The {described(SETTINGS, name)} with the value {values[name]} sets {given.sets} to {found}, "
            f"which must be {target.allowed}."
        )
    return given.sets, found


def hyperparameters_of(values: Mapping[str, Value], seed: int) -> Hyperparameters:
    """Return what belongs to one trial; settings without a value have their default."""
    return Hyperparameters(seed=seed, **_fields(_OF_TRIAL, resolved(values)))


def stack_fields(values: Mapping[str, Value]) -> dict[str, Any]:
    """Return the fields of `TrainingSettings` that have a value here."""
    return _fields(_OF_STACK, values)


def training_settings_of(values: Mapping[str, Any]) -> TrainingSettings:
    """Return what the trials of a stack share, given a value for each of its fields."""
    return TrainingSettings(**stack_fields(values), **{name: values[name] for name in _UNSEARCHED})


def _fields(settings: Mapping[str, NetworkSetting], values: Mapping[str, Value]) -> dict[str, Any]:
    return {one.field: one.kind(values[name]) for name, one in settings.items() if name in values}
