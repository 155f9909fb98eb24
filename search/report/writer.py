"""Writes a report whole or not at all, and its figures as images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coarsefine.search.errors import UsageError
from coarsefine.search.files import unwritable, write_atomic
from coarsefine.search.report.content import Story, read_story
from coarsefine.search.report.figures import Figure, all_figures
from coarsefine.search.report.page import render
from coarsefine.search.storage.optuna_storage import Storage


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, and what the report lacks because it was never measured."""

    campaign: str
    report: str
    bytes: int
    figures: tuple[str, ...]
    images: tuple[str, ...]
    missing: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def write_report(
    storage: Storage, campaign: str | None, output: Path | None = None, png: Path | None = None
) -> Written:
    """Write the report of a campaign into one HTML file, and its figures into a folder if one is given.

    Without `output` it goes to `reports/CAMPAIGN.html` beside the studies. An older one is replaced once the new one is
    whole.

    Raises `UsageError` for a campaign that the storage does not hold, and, once the page is written, where images
    cannot be drawn; `StorageError` where a file cannot be written.
    """
    story = read_story(storage, campaign)
    figures = all_figures(story)
    path = output or storage.location.output_folder("reports") / f"{story.campaign.name}.html"
    page = render(story, figures).encode()
    write_atomic(path, page)
    images = _draw(figures, png, path) if png else ()
    names = tuple(figure.id for figure in figures)
    return Written(story.campaign.name, str(path), len(page), names, images, tuple(_missing(story)))


def _missing(story: Story) -> list[str]:
    if story.images is None:  # a function of the user's has none of these
        return []
    there = {
        "gradient_check": story.gradient_check is not None,
        "momentum": story.momentum is not None,
        "final": story.status.final is not None,
    }
    return [name for name, found in there.items() if not found]


def _draw(figures: Sequence[Figure], folder: Path, report: Path) -> tuple[str, ...]:
    from coarsefine.search.report.png import draw  # noqa: PLC0415 - an extra, and a browser

    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tuple(map(str, draw(figures, folder)))
    except UsageError as error:
        raise UsageError(f"The report {report} is written, its images are not: {error}") from error
    except OSError as error:
        raise unwritable(folder, error) from error
