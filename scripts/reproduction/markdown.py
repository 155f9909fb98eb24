"""Sections and tables as plain Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_QUICK = "**The quick form: few trials, epochs and seeds. It shows that all can be measured; its numbers say nothing.**"


def quick_warning(conditions: Mapping[str, Any]) -> str:
    """Return a warning about the numbers if this is the quick form, else nothing."""
    return _QUICK if conditions["quick"] else ""


def section(title: str, *blocks: str) -> str:
    """Return a section with empty lines between its blocks; empty blocks are left out."""
    return "\n\n".join([f"## {title}", *filter(None, blocks)])


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(lines: Iterable[str]) -> str:
    """Return a list."""
    return "\n".join(f"- {line}" for line in lines)


def picture(alt: str, file: str) -> str:
    """Return a picture in the page's folder."""
    return f"![{alt}]({file})"
