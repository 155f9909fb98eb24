"""The keys of the campaign file's tables as Markdown, from their pydantic models.

A key's help is the description of its field, or the docstring below the field. Its example is the line of the first
file in docs/examples that has it.
"""

import inspect
import json
import re
import tomllib
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types as at
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.pycode import ModuleAnalyzer

from coarsefine.model.datasets.kinds import DATASETS
from coarsefine.model.extensions import load
from coarsefine.search.campaign import schema, sections
from coarsefine.search.campaign.dimension import Choice, Grid, Interval
from coarsefine.search.campaign.space import Space
from documentation.markdown import item

_EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
_WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text", Space: "table of ranges"}
_PLURALS = {"text": "texts", "whole number": "whole numbers", "number": "numbers", "table": "tables"}
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_RANGE = (Interval, Grid, Choice)
_HEADER = re.compile(r"^\[+([\w.]+)\]+")
_ENTRY = re.compile(r"^(?:# )?(\w+) = (.*?)(?: +#.*)?$")
TABLES = {
    name: value
    for name, value in {**vars(sections), **vars(schema)}.items()
    if isinstance(value, type) and issubclass(value, sections.Section) and not name.startswith(("_", "Section"))
}
"""The tables of a campaign file, by the names of their models; without base classes."""


def keys_of(name: str, table: str = "") -> str:
    """Return a list of the keys of a model, such as `Stage`, which a campaign file has in a table, such as `stage`."""
    return described(TABLES[name], table)


def keys_of_datasets() -> str:
    """Return a section for each of Coarsefine's own datasets that adds keys to `[data]`."""
    kinds = {name: load(DATASETS, name) for name in DATASETS.built_in}
    return "\n\n".join(
        f'### `dataset = "{name}"`: {kind.title}\n\n{described(kind.options, "data")}'
        for name, kind in kinds.items()
        if kind.options is not None and not kind.options.__name__.startswith("_")  # private: not for users
    )


def described(model: type[BaseModel], table: str) -> str:
    """Return a list item for each field of a model; `options` of `[data]` are the keys of its dataset."""
    fields = ((name, field) for name, field in model.model_fields.items() if name != "options")
    return "\n".join(_entry(model, table, name, field) for name, field in fields)


def _entry(model: type[BaseModel], table: str, name: str, field: FieldInfo) -> str:
    key = field.alias or name
    facts = " · ".join(filter(None, (_type_of(field), _bounds_of(field), _default_of(field))))
    example = example_of(table, key)
    shown = f" Example: `{example}`" if example else ""
    return item(f"**`{key}`** ({facts}): {_sentence(field.description or _docstring(model, name))}{shown}")


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") or not text else ".")


def _docstring(model: type[BaseModel], name: str) -> str:
    """Return the docstring below a field, of the class that declares it."""
    for declaring in model.__mro__:
        if name in inspect.get_annotations(declaring):
            found = ModuleAnalyzer.for_module(declaring.__module__).find_attr_docs()
            return "\n".join(found.get((declaring.__qualname__, name), []))
    return ""


def _type_of(field: FieldInfo) -> str:
    return _any_of(_words(field.annotation))


def _any_of(words: Iterator[str]) -> str:
    """Return words as a list, each once."""
    *others, last = dict.fromkeys(words)
    return f"{', '.join(others)} or {last}" if others else last


def _words(kind: Any) -> Iterator[str]:
    """Yield the words for a type, one for each member of a union."""
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        yield from _words(arguments[0])
    elif get_origin(kind) in {Union, types.UnionType}:
        for argument in arguments:
            yield from _words(argument)
    elif get_origin(kind) is Literal:
        yield from (f"`{json.dumps(option)}`" for option in arguments)
    elif get_origin(kind) in {list, tuple}:
        words = _any_of(_words(arguments[0]))
        yield f"list of {_PLURALS.get(words, words)}"
    elif kind in _WORDS:
        yield _WORDS[kind]
    elif isinstance(kind, type) and issubclass(kind, _RANGE):
        yield "range"
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield "table"
    elif kind is not type(None):
        raise TypeError(f"the reference has no words for the type {kind!r}")


def _bounds_of(field: FieldInfo) -> str:
    """Return the bounds in words; a list's least length is not among them."""
    bounds = {type(bound): bound for bound in _constraints(field.annotation, field.metadata)}
    least, above, most, below = (bounds.get(kind) for kind in (at.Ge, at.Gt, at.Le, at.Lt))
    if least and most:
        return f"{_number(least.ge)} to {_number(most.le)}"
    words = (
        least and f"{_number(least.ge)} or above",
        above and f"above {_number(above.gt)}",
        most and f"at most {_number(most.le)}",
        below and f"below {_number(below.lt)}",
    )
    return ", ".join(filter(None, words))


def _number(bound: Any) -> str:
    return f"2{str(bound.bit_length() - 1).translate(_RAISED)}" if bound > 2**53 else f"{bound:,}"


def _constraints(kind: Any, metadata: Any = ()) -> Iterator[Any]:
    """Yield the constraints of a type, also of the members of a union."""
    for bound in metadata:
        yield from bound.metadata if isinstance(bound, FieldInfo) else (bound,)
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        yield from _constraints(arguments[0], arguments[1:])
    elif get_origin(kind) in {Union, types.UnionType}:
        for argument in arguments:
            yield from _constraints(argument)


def _default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default()
    return "optional" if default is None else f"default `{json.dumps(default)}`"


class _Line(NamedTuple):
    table: str
    key: str
    text: str


def example_of(table: str, key: str) -> str | None:
    """Return the first example line of a key, without its comment; an inline table's key is shown alone."""
    found = (line.text for line in _lines() if (line.table, line.key) == (table, key))
    return next(found, None)


@cache
def _lines() -> list[_Line]:
    """Return the entries of all example campaigns."""
    return [line for path in sorted(_EXAMPLES.glob("*.toml"), key=_by_length) for line in _lines_of(path)]


def _by_length(path: Path) -> tuple[int, str]:
    """Sort the file with the most keys first."""
    return -len(path.read_text("utf-8")), path.name


def _lines_of(path: Path) -> Iterator[_Line]:
    table = ""
    for text in path.read_text("utf-8").splitlines():
        if header := _HEADER.match(text):
            table = header[1]
        elif (entry := _ENTRY.match(text)) and entry[2] != "[":  # a list of several lines is no example
            yield _Line(table, entry[1], f"{entry[1]} = {entry[2]}")
            value = tomllib.loads(f"value = {entry[2]}")["value"]
            for key, inner in value.items() if isinstance(value, dict) else ():
                yield _Line(f"{table}.{entry[1]}", key, f"{entry[1]} = {{ {key} = {json.dumps(inner)} }}")
