"""Check built HTML pages offline: links and anchors within the site, and requests to other hosts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {("link", "href"), ("image", "href"), ("use", "href"), ("image", "xlink:href"), ("use", "xlink:href"),
           ("object", "data"), ("video", "poster"), ("form", "action")}  # fmt: skip
"""Attributes, besides `src` and `srcset` of any element, whose address a browser requests without a click."""
_NAVIGATION = {"next", "prev", "index", "search", "contents", "author", "copyright", "canonical", "genindex"}
"""Kinds of `<link>` that a browser does not load."""
_CSS_ADDRESS = re.compile(r"""(?:@import\s+|url\(\s*)+["']?([^"')\s;]+)""")
_INLINE = "data:"


@dataclass
class _Page(HTMLParser):
    """What a page refers to."""

    links: list[str] = field(default_factory=list)
    """Addresses of `<a>`, which load only when they are followed."""
    loaded: list[str] = field(default_factory=list)
    """Addresses that the browser requests with the page."""
    anchors: set[str] = field(default_factory=set)
    without_alt: list[str] = field(default_factory=list)
    """Sources of images without an alternative text."""
    _in_style: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the addresses and anchors of an element."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.loaded += self._loaded_by(tag, given)
        self.loaded += _CSS_ADDRESS.findall(given.get("style", ""))
        if tag == "img" and not given.get("alt"):
            self.without_alt.append(given.get("src", ""))
        self._in_style = tag == "style"

    def handle_data(self, data: str) -> None:
        """Note the addresses of an inline style sheet."""
        if self._in_style:
            self.loaded += _CSS_ADDRESS.findall(data)

    @staticmethod
    def _loaded_by(tag: str, given: dict[str, str]) -> Iterator[str]:
        if tag == "link" and set(given.get("rel", "").split()) & _NAVIGATION:
            return
        if "src" in given:
            yield given["src"]
        for candidate in given.get("srcset", "").split(","):
            yield from candidate.split()[:1]
        yield from (given[name] for of, name in _LOADED if of == tag and name in given)


@dataclass(frozen=True)
class _Site:
    """The built pages, by their paths."""

    folder: Path

    @cached_property
    def pages(self) -> dict[Path, _Page]:
        found = {}
        for path in sorted(self.folder.rglob("*.html")):
            found[path] = page = _Page()
            page.feed(path.read_text("utf-8"))
        return found

    def problem_of_link(self, path: Path, address: str) -> str | None:
        """Return what is wrong with a link of the page at a path; addresses of other hosts are not followed."""
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            return None
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if target.is_dir():
            target /= "index.html"
        if not target.is_relative_to(self.folder) or not target.exists():
            return f"there is no {address}"
        anchor = unquote(parts.fragment)
        if anchor and target in self.pages and anchor not in self.pages[target].anchors:
            return f"there is no anchor {address}"
        return None


def problems_of_site(folder: Path) -> Iterator[str]:
    """Yield each dead link, image without alternative text, and request to another host of a built site."""
    site = _Site(folder.resolve())
    for path, page in site.pages.items():
        name = path.relative_to(site.folder)
        for address in sorted({*page.links, *page.loaded}):
            if problem := site.problem_of_link(path, address):
                yield f"{name}: {problem}"
        yield from (f"{name}: loads {address}" for address in page.loaded if _is_elsewhere(address))
        yield from (f"{name}: the image {source} has no alternative text" for source in page.without_alt)
    for path in sorted([*site.folder.rglob("*.css"), *site.folder.rglob("*.svg")]):
        addresses = _CSS_ADDRESS.findall(path.read_text("utf-8"))
        yield from (f"{path.relative_to(site.folder)}: loads {a}" for a in addresses if _is_elsewhere(a))


def _is_elsewhere(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or (bool(parts.scheme) and not address.startswith(_INLINE))
