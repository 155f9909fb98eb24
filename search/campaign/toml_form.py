"""Values, ranges and lines of a campaign file as TOML, each on one line."""

import json
import re
from typing import Any

from coarsefine.search.campaign.dimension import Dimension, as_json

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
"""A key that needs no quotes."""


def toml_value(value: Any) -> str:
    """Return a value of JSON, except null, as TOML."""
    match value:
        case dict():
            return f"{{ {', '.join(toml_line(key, item) for key, item in value.items())} }}"
        case list():
            return f"[{', '.join(map(toml_value, value))}]"
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def toml_line(key: str, value: Any) -> str:
    """Return a key with its value."""
    return f"{key if _BARE.fullmatch(key) else toml_value(key)} = {toml_value(value)}"


def range_line(name: str, dimension: Dimension) -> str:
    """Return a parameter with its range."""
    form = as_json(dimension)
    if isinstance(form, dict) and form.get("step") == 1:
        del form["step"]  # the default
    return toml_line(name, form)
