"""The types of a campaign file's fields. Each refuses other values with a message in plain words."""

import re
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationInfo

from coarsefine.model.extensions import load
from coarsefine.model.network_setting import NetworkSetting
from coarsefine.search.campaign.command_line import read_pattern
from coarsefine.search.campaign.declared_packages import read_names
from coarsefine.search.campaign.dimension import Dimension, as_json
from coarsefine.search.campaign.json_form import STRICT
from coarsefine.search.campaign.network_settings import NAMES, NETWORK_SETTINGS, OTHERS
from coarsefine.search.campaign.pruning import PRUNERS, pruner
from coarsefine.search.campaign.ranges import read_network_range, read_network_value, read_range
from coarsefine.search.campaign.sampling import SAMPLERS
from coarsefine.search.campaign.space import Space

_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", re.ASCII)
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_METRIC = re.compile(r"\w([\w ./:@%+-]{0,38}[\w%])?")
_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_LARGEST_STACK = 1024
_BROUGHT = "A network setting of another package."
STORED = "stored"
"""The context in which pydantic reads a campaign from a study."""
HALVING = "halving"
HALVING_OPTIONS = load(PRUNERS, HALVING).model_fields
"""The options that are keys of a stage, too: campaigns from before `pruner` could be a table have them there."""


def _check_name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value) or value != value.strip():
        raise ValueError(
            "a name is 1 to 64 letters, digits, spaces, '-', '_' or single '.', and starts with a letter or digit"
        )
    return value


def _check_function(value: Any) -> str:
    if not isinstance(value, str) or not _FUNCTION.fullmatch(value):
        raise ValueError('an objective is the name of a function, "package.module:function"')
    return value


def _check_metric(value: Any) -> str:
    if not isinstance(value, str) or not _METRIC.fullmatch(value):
        raise ValueError(
            "a metric is a name of 1 to 40 letters, digits, spaces or any of _ . / : @ % + -, such as val_loss"
        )
    return value


def _check_command(value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise ValueError('a command is a list of its words, such as ["python", "train.py", "--lr", "{lr}"]')
    for word in value:
        if not isinstance(word, str):
            raise ValueError(f"its word {word!r} is no text: put it in quotes")  # noqa: TRY004 - as above
        if "\0" in word:
            raise ValueError(f"its word {word!r} has a NUL character, which no program can receive: remove it")
    if not value[0].strip():
        raise ValueError("its first word is empty, and names the program: give one")
    return value


def _check_pattern(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it is a regular expression, in quotes")  # noqa: TRY004 - as above
    read_pattern(value)
    return value


def _check_stack(value: Any) -> Any:
    if value != "auto" and (type(value) is not int or not 1 <= value <= _LARGEST_STACK):
        raise ValueError(f'a stack is "auto", or 1 to {_LARGEST_STACK} trials')
    return value


def _read_space(value: Any) -> Space:
    if value == {}:
        raise ValueError(
            "a space is a table of parameters with their ranges, and this one is empty: write a line for each, such as "
            "C = [1e-3, 1e3]; a line that starts with # is a comment"
        )
    if not isinstance(value, dict):
        raise ValueError("a space is a table of parameters with their ranges, such as { C = [1e-3, 1e3] }")  # noqa: TRY004 - as above
    # Sorted by name, so that the points drawn do not depend on the order in the file.
    return Space.of({name: _read_parameter(name, written) for name, written in sorted(value.items())})


def _read_parameter(name: str, written: Any) -> Dimension:
    if not _PARAMETER.fullmatch(name):
        raise ValueError(
            f"'{name}' is not a parameter's name: it must be 1 to 64 letters, digits, '_', '-' or '.', and start "
            "with a letter or '_'"
        )
    try:
        return read_range(written)
    except ValueError as error:
        dotted = f'. A name with a dot needs quotes, "{name}.{next(iter(written))}"' if _has_ranges(written) else ""
        raise ValueError(f"{name} = {written!r}: {error}{dotted}") from error


def _has_ranges(written: Any) -> bool:
    """Return whether a range is a table of ranges, as TOML reads `optimizer.lr = [0.1, 1.0]` without quotes."""
    if not isinstance(written, dict) or not written or written.keys() & {"uniform", "integer", "choice"}:
        return False
    return isinstance(next(iter(written.values())), list | dict)


def _check_sampler(value: Any, info: ValidationInfo) -> str:
    if not isinstance(value, str):
        raise ValueError('a sampler is a name, such as "sobol"')  # noqa: TRY004 - pydantic reports no other error
    if not is_stored(info):
        load(SAMPLERS, value)
    return value


def _check_pruner(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str | dict | PrunerTable):
        raise ValueError('a pruner is a name, or a table with a name, { name = "halving", factor = 3 }')  # noqa: TRY004
    chosen = PrunerTable.model_validate({"name": value} if isinstance(value, str) else value)
    if not is_stored(info):
        pruner(chosen.name, chosen.options)
    return value if isinstance(value, str) else chosen


def _pruner_as_json(written: "str | PrunerTable") -> str | dict[str, Any]:
    return written if isinstance(written, str) else written.model_dump()


class PrunerTable(BaseModel):
    """A pruner with its options, such as { name = "halving", factor = 3 }."""

    model_config = STRICT | ConfigDict(extra="allow")

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """Return the options that are given."""
        return self.model_extra or {}


def is_stored(info: ValidationInfo) -> bool:
    """Return whether a campaign is read from a study, to be looked at.

    The packages that it needs may be missing then; they are asked for when it runs.
    """
    return info.context == STORED


def _limits_of(setting: NetworkSetting) -> Any:
    return Field(gt=setting.above, ge=setting.least, lt=setting.below, le=setting.most)


Name = Annotated[str, BeforeValidator(_check_name)]
FunctionName = Annotated[str, BeforeValidator(_check_function)]
MetricName = Annotated[str, BeforeValidator(_check_metric)]
Command = Annotated[list[str], BeforeValidator(_check_command)]
Pattern = Annotated[str, BeforeValidator(_check_pattern)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Timeout = Annotated[float, Field(gt=0, le=30 * 86400)]
"""Seconds: up to 30 days."""
Recycle = Annotated[int, Field(ge=1)]
Grace = Annotated[float, Field(ge=0, le=3600)]
"""Seconds: up to an hour."""
Threads = Annotated[int, Field(ge=1, le=1024)]
Gpus = Annotated[int, Field(ge=0, le=64)]
Packages = Annotated[list[str] | None, BeforeValidator(read_names)]
MaxFailures = Annotated[int, Field(ge=1, le=1_000_000)]
Stack = Annotated[int | Literal["auto"], BeforeValidator(_check_stack)]
Ranges = Annotated[Space, PlainValidator(_read_space), PlainSerializer(Space.as_dict)]
Sampler = Annotated[str, PlainValidator(_check_sampler)]
Pruner = Annotated[str | PrunerTable, PlainValidator(_check_pruner), PlainSerializer(_pruner_as_json)]
"""The options of halving may also be keys of the stage."""
Decay = Annotated[float, _limits_of(NETWORK_SETTINGS["decay"])]


# Fields that follow from declarations, for `pydantic.create_model`.


def given_fields() -> dict[str, Any]:
    """Return fields for the values that train a network.

    A setting that was added later is missing in files from before. Its default gives the bits of that time.
    """
    return {
        name: (_described(_value_of(setting), setting.help), ... if setting.default is None else setting.default)
        for name, setting in NETWORK_SETTINGS.items()
    }


def value_fields() -> dict[str, Any]:
    """Return fields for the values that a campaign may give."""
    fields: dict[str, Any] = {}
    for name, setting in NETWORK_SETTINGS.items():
        value = _value_of(setting) | None if setting.default is None else _value_of(setting)
        fields[name] = (_described(value, setting.help), setting.default)
    for name in OTHERS:
        value = Annotated[Any, PlainValidator(partial(read_network_value, name))]
        fields[name] = (_described(value, _BROUGHT), None)
    return fields


def range_fields() -> dict[str, Any]:
    """Return fields for the ranges that a stage may give."""
    own = {name: f"Range of {setting.noun}." for name, setting in NETWORK_SETTINGS.items()}
    return {name: (_described(_range_of(name) | None, own.get(name, _BROUGHT)), None) for name in NAMES}


def halving_fields() -> dict[str, Any]:
    """Return fields for the options of halving. Other pruners have theirs in the table `pruner`."""
    return {name: (option.annotation, option) for name, option in HALVING_OPTIONS.items()}


def _value_of(setting: NetworkSetting) -> Any:
    return Annotated[setting.kind, _limits_of(setting)]


def _range_of(name: str) -> Any:
    return Annotated[Dimension, PlainValidator(partial(read_network_range, name)), PlainSerializer(as_json)]


def _described(kind: Any, text: str) -> Any:
    return Annotated[kind, Field(description=text)]
