"""What a campaign file may give where: the types of its fields, each refusing in words what it does not take."""

import re
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator

from coarsefine.search.campaign.dimension import Dimension
from coarsefine.search.campaign.ranges import read_range, read_setting

_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", re.ASCII)
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value) or value != value.strip():
        raise ValueError(
            "a name is 1 to 64 letters, digits, spaces, '-', '_' or single '.', begun by a letter or digit"
        )
    return value


def _function(value: Any) -> str:
    if not isinstance(value, str) or not _FUNCTION.fullmatch(value):
        raise ValueError('an objective is the name of a function, "package.module:function"')
    return value


def _width(value: Any) -> Any:
    if value != "auto" and (type(value) is not int or not 1 <= value <= _WIDEST):
        raise ValueError(f'a stack is "auto", or 1 to {_WIDEST} trials')
    return value


def _as_json(dimension: Dimension | None) -> Any:
    return None if dimension is None else dimension.as_json()


def _space(value: Any) -> dict[str, Dimension]:
    if not isinstance(value, dict) or not value:
        raise ValueError("a space is a table of parameters with their ranges, such as { C = [1e-3, 1e3] }")
    # By name, since the order in which they are drawn must not hang on that of the file.
    return {name: _parameter(name, written) for name, written in sorted(value.items())}


def _parameter(name: str, written: Any) -> Dimension:
    if not _PARAMETER.fullmatch(name):
        raise ValueError(f"'{name}' is no parameter's name: that is 1 to 64 letters, digits or '_', begun by no digit")
    try:
        return read_range(written)
    except ValueError as error:
        raise ValueError(f"{name} = {written!r}: {error}") from error


def _space_as_json(space: dict[str, Dimension] | None) -> Any:
    return None if space is None else {name: dimension.as_json() for name, dimension in space.items()}


def _ranges_of(name: str) -> Any:
    return PlainValidator(partial(read_setting, name))


_WIDEST = 1024
LONGEST = 30 * 86400.0
"""Seconds."""
Name = Annotated[str, BeforeValidator(_name)]
FunctionName = Annotated[str, BeforeValidator(_function)]
Ranges = Annotated[dict[str, Dimension], PlainValidator(_space), PlainSerializer(_space_as_json)]
Eta = Annotated[Dimension, _ranges_of("eta"), PlainSerializer(_as_json)]
Lam = Annotated[Dimension, _ranges_of("lambda"), PlainSerializer(_as_json)]
Rho = Annotated[Dimension, _ranges_of("rho"), PlainSerializer(_as_json)]
Decay = Annotated[Dimension, _ranges_of("decay"), PlainSerializer(_as_json)]
Hidden = Annotated[Dimension, _ranges_of("hidden"), PlainSerializer(_as_json)]
BatchSize = Annotated[Dimension, _ranges_of("batch"), PlainSerializer(_as_json)]
Width = Annotated[int | Literal["auto"], BeforeValidator(_width)]
Batch = Literal["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
