"""Directives of Sphinx in comments, `<!-- sphinx … -->`, which other readers of a Markdown page do not see."""

import re
from typing import Any

from sphinx.application import Sphinx

_HIDDEN = re.compile(r"^<!-- sphinx\n(.*?)^-->$", re.DOTALL | re.MULTILINE)


def show(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Remove the comments around directives from a page's source; each line keeps its number."""
    source[0] = _HIDDEN.sub(r"\n\1", source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the change of sources."""
    app.connect("source-read", show)
    return {"parallel_read_safe": True}
