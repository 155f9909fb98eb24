"""Markdown that code writes, in lines as long as those that people write."""

import re
import textwrap

_WIDTH = 120
_CODE = re.compile(r"`[^`]+`")
_IN_CODE = "\0"


def wrapped(text: str, first: str = "", rest: str = "") -> str:
    """Return a paragraph in lines of at most 120 columns, with a prefix for the first line and one for the others.

    Code stays in one line.
    """
    text = _CODE.sub(lambda code: code[0].replace(" ", _IN_CODE), " ".join(text.split()))
    lines = textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=rest,
                          break_long_words=False, break_on_hyphens=False)  # fmt: skip
    return lines.replace(_IN_CODE, " ")


def item(text: str) -> str:
    """Return an item of a list."""
    return wrapped(text, "- ", "  ")
