"""The types of a campaign file's fields. Each refuses other values with a message in plain words."""

import re
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator

from coarsefine.search.campaign.dimension import Dimension, as_json
from coarsefine.search.campaign.network_settings import NETWORK_SETTINGS
from coarsefine.search.campaign.ranges import read_network_range, read_range
from coarsefine.search.campaign.space import Space

_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", re.ASCII)
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_LARGEST_STACK = 1024


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


def _check_stack(value: Any) -> Any:
    if value != "auto" and (type(value) is not int or not 1 <= value <= _LARGEST_STACK):
        raise ValueError(f'a stack is "auto", or 1 to {_LARGEST_STACK} trials')
    return value


def _read_space(value: Any) -> Space:
    if not isinstance(value, dict) or not value:
        raise ValueError("a space is a table of parameters with their ranges, such as { C = [1e-3, 1e3] }")
    # Sorted by name, so that the points drawn do not depend on the order in the file.
    return Space.of({name: _read_parameter(name, written) for name, written in sorted(value.items())})


def _read_parameter(name: str, written: Any) -> Dimension:
    if not _PARAMETER.fullmatch(name):
        raise ValueError(
            f"'{name}' is not a parameter's name: it must be 1 to 64 letters, digits or '_', and not start with a digit"
        )
    try:
        return read_range(written)
    except ValueError as error:
        raise ValueError(f"{name} = {written!r}: {error}") from error


def _range_of(name: str) -> Any:
    return PlainValidator(partial(read_network_range, name))


def _limits_of(name: str) -> Any:
    setting = NETWORK_SETTINGS[name]
    return Field(gt=setting.above, ge=setting.least, lt=setting.below, le=setting.most)


Name = Annotated[str, BeforeValidator(_check_name)]
FunctionName = Annotated[str, BeforeValidator(_check_function)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Timeout = Annotated[float, Field(gt=0, le=30 * 86400)]
"""Seconds: up to 30 days."""
Stack = Annotated[int | Literal["auto"], BeforeValidator(_check_stack)]
BatchName = Literal["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
Ranges = Annotated[Space, PlainValidator(_read_space), PlainSerializer(Space.as_dict)]

EtaRange = Annotated[Dimension, _range_of("eta"), PlainSerializer(as_json)]
LamRange = Annotated[Dimension, _range_of("lambda"), PlainSerializer(as_json)]
RhoRange = Annotated[Dimension, _range_of("rho"), PlainSerializer(as_json)]
DecayRange = Annotated[Dimension, _range_of("decay"), PlainSerializer(as_json)]
HiddenRange = Annotated[Dimension, _range_of("hidden"), PlainSerializer(as_json)]
BatchRange = Annotated[Dimension, _range_of("batch"), PlainSerializer(as_json)]

Eta = Annotated[float, _limits_of("eta")]
Lam = Annotated[float, _limits_of("lambda")]
Rho = Annotated[float, _limits_of("rho")]
Decay = Annotated[float, _limits_of("decay")]
Hidden = Annotated[int, _limits_of("hidden")]
BatchSize = Annotated[int, _limits_of("batch")]
