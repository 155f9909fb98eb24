"""Build campaigns that take seconds from dictionaries: `campaign_toml("small", stage={"coarse": {"trials": 5}})`."""

from copy import deepcopy
from typing import get_args

import tomlkit
from pydantic import BaseModel

from coarsefine import Campaign
from coarsefine.search.campaign.sections import Data

_SMALL = {
    "name": "small",
    "seed": 3,
    "data": {"dataset": "digits"},
    "model": {"hidden": 10, "batch": 50, "epochs": 3},
    "stage": [
        {"name": "coarse", "trials": 9, "eta": [0.01, 1.0], "lambda": [1e-6, 0.01], "stack": 4},
        {"name": "fine", "trials": 6, "carry": 2, "stack": 4, "narrow": {"top": 3}},
    ],
    "final": {"epochs": 4},
}
_HALVING = {
    "name": "small",
    "seed": 5,
    "data": {"dataset": "digits"},
    "model": {"hidden": 20, "batch": 50, "epochs": 12},
    "stage": [
        {
            "name": "coarse", "trials": 12, "eta": [0.001, 1.0], "lambda": [1e-6, 0.01],
            "pruner": "halving", "rungs": [2, 5], "stack": 5,
        },
        {"name": "fine", "trials": 12, "carry": 1, "pruner": "halving", "stack": 5, "narrow": {"top": 3}},
    ],
    "final": {"epochs": 2},
}  # fmt: skip
_WIDE = {
    "name": "small",
    "seed": 7,
    "data": {"dataset": "digits"},
    "model": {"lambda": 1e-4, "epochs": 4, "mirror": True},
    "stage": [
        {
            "name": "coarse", "trials": 16, "eta": [0.01, 1.0], "rho": {"uniform": [0.5, 0.95]},
            "hidden": {"integer": [10, 30], "step": 10}, "batch": {"choice": [20, 50]},
            "pruner": "halving", "rungs": [1, 3], "stack": 4,
        },
        {"name": "fine", "trials": 10, "carry": 2, "narrow": {"top": 4}},
    ],
    "confirm": {"top": 3, "seeds": 2},
    "final": {"epochs": 4},
}  # fmt: skip
"""Four searched settings, one of each kind of range; the network's shape is among them."""
_OBJECTIVE = {
    "name": "small",
    "seed": 4,
    "objective": "user_functions:single",
    "epochs": 6,
    "stage": [
        {"name": "coarse", "trials": 8, "space": {"a": [0.001, 1.0], "shape": {"choice": ["round", "square"]}}},
        {"name": "fine", "trials": 5, "carry": 2, "narrow": {"top": 4}},
    ],
    "confirm": {"top": 2, "seeds": 2},
}
_BASES = {"small": _SMALL, "halving": _HALVING, "wide": _WIDE, "objective": _OBJECTIVE}
DIVERGING = {"coarse": {"eta": [1e5, 1e6]}}
"""Changes of the stages after which every trial of the first diverges."""
LONG = {"model": {"hidden": 200, "epochs": 30, "batch": 10}, "stage": {"coarse": {"stack": 2}, "fine": {"stack": 2}}}
"""Changes after which the small campaign takes seconds: time for a signal to arrive while it trains."""


def campaign_toml(base="small", /, *, checked=True, **changes):
    """Return a campaign file: one of the bases with some keys changed.

    A table's keys are changed one by one, a stage's under its name; None removes a key. Keys that no campaign has are
    refused unless `checked` is false, for tests of users' mistakes.
    """
    table = deepcopy(_BASES[base])
    _change(table, changes, Campaign if checked else None)
    return tomlkit.dumps(table)


def read_campaign(base="small", /, **changes):
    """Return a campaign: one of the bases with some keys changed, as `campaign_toml` changes them."""
    return Campaign.model_validate(tomlkit.parse(campaign_toml(base, **changes)).unwrap())


def write_campaign(folder, base="small", /, **changes):
    """Write a campaign into a folder as small.toml; return the folder."""
    (folder / "small.toml").write_text(campaign_toml(base, **changes), "utf-8")
    return folder


def _change(table, changes, section):
    fields = {} if section is None else {field.alias or name: field for name, field in section.model_fields.items()}
    for key, value in changes.items():
        if section is not None and key not in fields:
            raise KeyError(f"no campaign has the key {key!r} in {section.__name__}")
        inner = None if section is None else _section_in(fields[key].annotation)
        if value is None:
            del table[key]
        elif key == "stage":
            _change_stages(table["stage"], value, inner)
        elif isinstance(value, dict) and _is_section(key, inner, section) and isinstance(table.get(key, {}), dict):
            _change(table.setdefault(key, {}), value, inner)
        else:
            table[key] = value


def _is_section(key, inner, section):
    return inner is not None or section is None or key == "data"


def _change_stages(stages, changes, section):
    for name, change in changes.items():
        (stage,) = [stage for stage in stages if stage["name"] == name]
        if change is None:
            stages.remove(stage)
        else:
            _change(stage, change, section)


def _section_in(annotation):
    """Return the section that a field holds, alone, in a list or in a union; None for a plain value, and for [data]."""
    if annotation is Data:  # whose keys depend on the dataset
        return None
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)
