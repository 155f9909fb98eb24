"""Check the links between Markdown files as they are read in the repository, without building the site."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

_CODE = re.compile(r"^(`{3,}|~{3,}).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def problems_of_sources(root: Path) -> Iterator[str]:
    """Yield each link of a Markdown file of the repository whose file or heading does not exist."""
    for path in sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")]):
        for address in _addresses(path):
            name, _, anchor = address.partition("#")
            target = (path.parent / unquote(name)).resolve() if name else path
            if not target.exists():
                yield f"{path.relative_to(root)}: there is no {address}"
            elif anchor and target.suffix == ".md" and anchor not in _anchors(target):
                yield f"{path.relative_to(root)}: there is no heading {address}"


def _addresses(path: Path) -> list[str]:
    """Return the relative addresses that a file links to; code is left out."""
    text = _CODE.sub(
        lambda code: "`" if code[0].startswith("`") and "\n" not in code[0] else "", path.read_text("utf-8")
    )
    found = [first or second for first, second in _LINK.findall(text)]
    return [address for address in found if not re.match(r"[a-z][a-z0-9+.-]*:|//", address)]


@cache
def _anchors(path: Path) -> set[str]:
    """Return the anchors of a file's headings, as code hosts and MyST make them."""
    text = re.sub(r"^(`{3,}).*?^\1", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(text)}
