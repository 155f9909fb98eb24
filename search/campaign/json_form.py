"""JSON forms: how values are printed, served, stored and exported, declared once by the dataclasses that hold them."""

import json
import math
from typing import Annotated, Any, ClassVar, Literal, NotRequired, Self

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetPydanticSchema, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict  # before Python 3.12, pydantic cannot read typing's own

from coarsefine.search.campaign.dimension import Choice, Value
from coarsefine.search.campaign.space import Point, Space

STRICT = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)
"""Configure a form to hold nothing but its fields, each of its own type."""


class JsonForm:
    """A dataclass with a JSON form: an object with a key for each field, in the order of the fields.

    An annotation changes the form with `pydantic.Field`: `alias` renames the key and `exclude` leaves it out. If a
    class has several bases, the fields of the last base come first.
    """

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        form: dict[str, Any] = _adapter(type(self)).dump_python(self, mode="json", by_alias=True)
        return form

    @classmethod
    def from_dict(cls, form: Any, *, extra: Literal["forbid", "ignore"] = "forbid") -> Self:
        """Read the JSON form; raise `ValueError` with the first thing that is wrong with it.

        `extra` says what to do with keys that are not fields.
        """
        try:
            found: Self = _adapter(cls).validate_json(json.dumps(form), extra=extra)
        except ValidationError as error:
            raise ValueError(first_problem(error)) from error
        return found


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(form: type[Any]) -> TypeAdapter[Any]:
    """Return pydantic's adapter of a form, built only once a form is written or read: a worker seldom does either."""
    if form not in _ADAPTERS:
        _ADAPTERS[form] = TypeAdapter(form)
    return _ADAPTERS[form]


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong, after the place where it is."""
    detail = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, detail['loc']))}: {plain(detail['msg'])}"


def plain(message: str) -> str:
    """Return a message of pydantic without the kind of error that it puts before a `ValueError`'s own words."""
    return message.removeprefix("Value error, ")


def finite_or_none(value: float) -> float | None:
    """Return a number, or None if it is not finite, which JSON cannot hold: a diverged training has such losses."""
    return value if math.isfinite(value) else None


class UniformForm(TypedDict):
    """A range of real numbers, from low to high; with `step`, those one step apart."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    uniform: "_Bounds"
    step: NotRequired[Annotated[float, Field(gt=0)]]


class IntegerForm(TypedDict):
    """A range of whole numbers, from low to high; with `log`, log-uniform."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    integer: Annotated[list[int], Field(min_length=2, max_length=2)]
    step: NotRequired[Annotated[int, Field(ge=1)]]
    log: NotRequired[bool]


class ChoiceForm(TypedDict):
    """Options."""

    __pydantic_config__ = STRICT  # type: ignore[misc]
    choice: Annotated[list[Value], Field(min_length=1)]


_Bounds = Annotated[list[float], Field(min_length=2, max_length=2)]
_LogUniformForm = Annotated[_Bounds, Field(description="a log-uniform range, from low to high")]
_DimensionForm = _LogUniformForm | UniformForm | IntegerForm | ChoiceForm


def _read_space(form: Any, check: core_schema.ValidatorFunctionWrapHandler) -> Space:
    check(form)
    space = Space.from_dict(form)
    for name, dimension in space.items():
        if isinstance(dimension, Choice):
            continue
        if dimension.low > dimension.high or (dimension.axis == "log" and dimension.low <= 0):
            raise ValueError(f"{name} has no range: {dimension.text}")
    return space


def _read_point(form: Any, check: core_schema.ValidatorFunctionWrapHandler) -> Point:
    return Point.of(check(form))


def _mapping(kind: type[Any], values: Any, read: core_schema.NoInfoWrapValidatorFunction) -> GetPydanticSchema:
    """Return how pydantic reads and writes a mapping by hyperparameter whose JSON form has values of these types."""

    def schema(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        form = handler(Annotated[dict[str, values], Field(min_length=1)])
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_wrap_validator_function(read, form),
            python_schema=core_schema.is_instance_schema(kind),
            serialization=core_schema.plain_serializer_function_ser_schema(kind.as_dict, return_schema=form),
        )

    return GetPydanticSchema(schema)


SpaceField = Annotated[Space, _mapping(Space, _DimensionForm, _read_space), Field(description="by hyperparameter")]
"""A space, in the form of the studies' attribute."""
PointField = Annotated[
    Point, _mapping(Point, Value, _read_point), Field(alias="params", description="by hyperparameter")
]
"""A point, under the key `params`."""
