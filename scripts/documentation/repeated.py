"""Parts of Markdown pages that repeat what is defined elsewhere, so that a page is complete wherever it is read.

A comment before a part says what it repeats:

- `<!-- file: examples/mine.toml -->`: the block below is this file, whose path is relative to the page. The name of a
  file without a folder says what the block is for, and is not compared.
- `<!-- generated: keys Stage stage -->`: what follows, to `<!-- end of generated -->`, is what a function returns; the
  first word names it in `_GENERATED`, and the others are its arguments.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from documentation.campaign_keys import keys_of, keys_of_datasets
from documentation.command_options import options_of_commands

ROOT = Path(__file__).resolve().parents[2]
_FILE = re.compile(
    r"^(?P<start><!-- file: (?P<path>\S+/\S+)[^\n]* -->\n```\w*\n)(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_PART = re.compile(
    r"^(?P<start><!-- generated: (?P<name>\S+)(?P<arguments>[^\n]*) -->\n).*?^(?P<end><!-- end of generated -->)$",
    re.DOTALL | re.MULTILINE,
)


def pages(root: Path = ROOT) -> list[Path]:
    """Return the README and the pages of docs/."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def files_in(page: Path) -> list[Path]:
    """Return the files that a page shows."""
    return [page.parent / shown["path"] for shown in _FILE.finditer(page.read_text("utf-8"))]


def update(root: Path = ROOT) -> None:
    """Write each part again."""
    for page in pages(root):
        page.write_text(_updated(page), "utf-8")


def outdated(root: Path = ROOT) -> Iterator[str]:
    """Yield each page with a part that differs from what it repeats."""
    for page in pages(root):
        try:
            current = page.read_text("utf-8") == _updated(page)
        except FileNotFoundError as error:
            yield f"{page.relative_to(root)}: there is no file {error.filename}"
        else:
            if not current:
                yield f"{page.relative_to(root)} is outdated: run `scripts/docs --update`"


def _updated(page: Path) -> str:
    def file(shown: re.Match[str]) -> str:
        return f"{shown['start']}{(page.parent / shown['path']).read_text('utf-8')}```"

    def part(shown: re.Match[str]) -> str:
        text = _GENERATED[shown["name"]](*shown["arguments"].split())
        return f"{shown['start']}\n{text}\n\n{shown['end']}"

    return _PART.sub(part, _FILE.sub(file, page.read_text("utf-8")))


def _part_of_readme(name: str) -> str:
    """Return the text between the comments `<!-- NAME: … -->` and `<!-- end of NAME -->` of the README."""
    text = (ROOT / "README.md").read_text("utf-8")
    return text.partition(f"<!-- {name}: ")[2].partition(" -->\n")[2].partition(f"\n<!-- end of {name} -->")[0]


_GENERATED: dict[str, Callable[..., str]] = {
    "keys": keys_of,
    "dataset-keys": keys_of_datasets,
    "options": options_of_commands,
    "README": _part_of_readme,
}
