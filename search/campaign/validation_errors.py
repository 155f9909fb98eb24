"""One sentence for the errors of pydantic: the place, the value found, and the remedy."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from coarsefine.model.errors import ExtensionError, message_of
from coarsefine.search.campaign.network_settings import unusable_setting

_DIRECTIONS = {
    **dict.fromkeys(("direction", "directions", "minimize", "minimise"), "minimize"),
    **dict.fromkeys(("maximize", "maximise"), "maximize"),
}
"""Keys by which people ask for the lowest value or for the highest one, where none is known, and what they mean."""


def sentence(error: ValidationError, schema: type[BaseModel], unlisted: Collection[str] = ()) -> str:
    """Return the first error as a sentence, and the number of further errors.

    An unknown key comes first, since it may be the misspelt name of a missing one. The keys `unlisted` are not named
    among those that the campaign and its stages have.
    """
    first, *others = sorted(error.errors(include_url=False), key=lambda detail: not _is_unknown_key(detail))
    more = f" ({len(others)} more to correct after this.)" if others else ""
    return f"{_describe(first, schema, unlisted)}{_about_setting(first['loc'])}{more}"


def _is_unknown_key(detail: ErrorDetails) -> bool:
    """Return whether a key is unknown; one of `[data]` may be known once its dataset is given."""
    return detail["type"] == "extra_forbidden" and detail["loc"][0] != "data"


def _about_setting(loc: tuple[int | str, ...]) -> str:
    """Return why another package's setting of this key cannot be used, as a sentence; empty if none is meant."""
    match loc:
        case ("stage", int(), str(key)) | ("model", str(key)):
            reason = unusable_setting(key)
            return f" The {reason}: rename it in that package." if reason else ""
    return ""


def _describe(detail: ErrorDetails, schema: type[BaseModel], unlisted: Collection[str]) -> str:
    *parents, last = detail["loc"] or ("",)
    where = _place(parents)
    match detail["type"]:
        case "extra_forbidden" if last in _DIRECTIONS:
            return (
                f"unknown key '{last}'{where and ' in ' + where}: write direction = \"{_DIRECTIONS[last]}\" next to "
                "`objective`, above the stages."
            )
        case "extra_forbidden":
            known = detail.get("ctx", {}).get("known") or _known(schema, parents, unlisted)
            return f"unknown key '{last}'{where and ' in ' + where}: {_instead(str(last), known)}."
        case "missing":
            return f"'{last}' is missing{where and ' in ' + where}: add it."
        case _ if not detail["loc"]:
            return f"{_reason(detail)}."
    place = _place(detail["loc"])
    if isinstance(detail["input"], dict):  # an error of a whole section
        return f"{place}: {_reason(detail)}."
    return f"{place} = {_shown(detail['input'])}: {_reason(detail)}."


def _reason(detail: ErrorDetails) -> str:
    if detail["type"] == "value_error":
        error = detail["ctx"]["error"]
        return error.reason if isinstance(error, ExtensionError) else message_of(error)
    if detail["type"] == "list_type" and detail["loc"] == ("stage",):
        return "each stage starts with [[stage]], in two pairs of brackets"
    reasons = {
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "model_type": "must be a section with keys of its own, such as narrow = { top = 8 }",
    }
    return reasons.get(detail["type"], detail["msg"].replace("Input should be", "must be"))


def _place(loc: Any) -> str:
    """Return `stage 2, eta` for ("stage", 1, "eta")."""
    names: list[str] = []
    for part in loc:
        if isinstance(part, int):
            names[-1] += f" {part + 1}"
        else:
            names.append(str(part))
    return ", ".join(names)


def _instead(key: str, known: Sequence[str]) -> str:
    """Return what to do about an unknown key: with the most similar known one, if one is similar."""
    listed = f"remove it, or correct its spelling (known: {', '.join(known)})"
    similar = get_close_matches(key, known, n=1)
    return f"did you mean '{similar[0]}'? If not, {listed}" if similar else listed


def _known(schema: type[BaseModel], parents: Sequence[int | str], unlisted: Collection[str]) -> list[str]:
    section: Any = schema
    for part in parents:
        if isinstance(part, str):
            annotation = section.model_fields[part].annotation  # `Model`, `Model | None` or `list[Model]`
            section = next((arg for arg in get_args(annotation) if hasattr(arg, "model_fields")), annotation)
    names = [field.alias or name for name, field in section.model_fields.items()]
    hidden = unlisted if not parents or parents[0] == "stage" else ()
    return [name for name in names if name not in hidden]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"  # noqa: PLR2004 - a line's worth
