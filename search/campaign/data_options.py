"""The options of a dataset in a campaign's `[data]`, checked as the dataset's kind declares them."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from coarsefine.model.datasets.kinds import DATASETS, NAME_KEY, DatasetKind
from coarsefine.model.errors import ExtensionError
from coarsefine.model.extensions import call, load


def checked_options(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options of a dataset in their JSON form, with defaults; raise `ValidationError` if they are wrong."""
    try:
        kind = load(DATASETS, name)
    except ExtensionError as error:
        raise _refusal(NAME_KEY, name, "value_error", error=error) from error
    for key, value in given.items():
        if key not in kind.keys:
            raise _refusal(key, value, "extra_forbidden", known=list(kind.keys))
    return _completed(name, kind, given)


def stored_options(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return options that a study or an export stores, without those that only a later version of the dataset takes.

    They were right when their campaign started. So that it can be looked at, they are returned as they are if the
    dataset is not installed here, or takes other options now.
    """
    try:
        kind = load(DATASETS, name)
        return _completed(name, kind, {key: value for key, value in given.items() if key in kind.keys})
    except (ExtensionError, ValidationError):
        return given


def parse_options(kind: DatasetKind, given: Mapping[str, Any]) -> BaseModel | None:
    """Return options in JSON form as the kind's own class; raise `ValidationError` if they are wrong."""
    if kind.options is None:
        return None
    # As JSON, whose lists may become tuples and whose texts dates; other types are refused, whatever the model allows.
    return kind.options.model_validate_json(json.dumps(given, default=str), strict=True)


def _completed(name: str, kind: DatasetKind, given: Mapping[str, Any]) -> Mapping[str, Any]:
    return call(DATASETS, name, lambda: _in_json_form(parse_options(kind, given)), ValidationError)


def _in_json_form(options: BaseModel | None) -> Mapping[str, Any]:
    return options.model_dump(mode="json", by_alias=True) if options is not None else {}


def _refusal(key: str, value: Any, kind: str, **context: Any) -> ValidationError:
    """Return the error for one key of the section, in the form of pydantic's own."""
    detail = InitErrorDetails(type=PydanticCustomError(kind, "refused", context), loc=(key,), input=value)
    return ValidationError.from_exception_data("data", [detail])
