"""Writes a report as one HTML file, and its figures as PNG files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from coarsefine.search.errors import UsageError
from coarsefine.search.files import unwritable, write_atomic
from coarsefine.search.report.content import Content, read_content
from coarsefine.search.report.figures import Figure, all_figures
from coarsefine.search.report.page import render
from coarsefine.search.storage.optuna_storage import Storage

_PNG_WIDTH, _PNG_SCALE = 900, 2
"""Width in the layout's pixels, and pixels of the image for each of them: enough for print."""


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """The files that were written, and the parts that the report lacks because they were not measured."""

    campaign: str
    report: str
    bytes: int
    figures: tuple[str, ...]
    images: tuple[str, ...]
    missing: tuple[str, ...]


def write_report(
    storage: Storage,
    campaign: str | None,
    output: Path | None = None,
    png: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> WrittenReport:
    """Write the report of a campaign as an HTML file and, into the folder `png` if given, its figures.

    `output` is by default `reports/CAMPAIGN.html` next to the studies. An existing report is replaced atomically. `say`
    receives what other programs have deleted, changed or added.

    Raises `UsageError` if the storage does not hold the campaign or, after the report is written, if the figures cannot
    be drawn, and `StorageError` if a file cannot be written.
    """
    content = read_content(storage, campaign)
    for note in content.status.notes:
        say(note)
    figures = all_figures(content)
    path = output or storage.location.output_folder("reports") / f"{content.campaign.name}.html"
    page = render(content, figures).encode()
    write_atomic(path, page)
    images = _write_images(figures, png, path) if png else ()
    names = tuple(figure.id for figure in figures)
    return WrittenReport(content.campaign.name, str(path), len(page), names, images, tuple(_missing(content)))


def _missing(content: Content) -> list[str]:
    if content.images is None:  # a user's function has none of these parts
        return []
    parts = {"gradient_check": content.gradient_check, "momentum": content.momentum, "final": content.status.final}
    return [name for name, part in parts.items() if part is None]


def _write_images(figures: Sequence[Figure], folder: Path, report: Path) -> tuple[str, ...]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tuple(map(str, _draw(figures, folder)))
    except UsageError as error:
        raise UsageError(f"The report {report} is written, but its images are not: {error}") from error
    except OSError as error:
        raise unwritable(folder, error) from error


def _draw(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Draw each figure into `ID.png` with kaleido and an installed Chromium, and return the files.

    Raises `UsageError` if kaleido or a browser for it is missing.
    """
    try:
        import kaleido  # noqa: PLC0415 - an extra, needed only here
        from choreographer.errors import BrowserFailedError, ChromeNotFoundError  # noqa: PLC0415 - comes with kaleido
    except ImportError as error:
        raise UsageError("PNG files need kaleido: pip install kaleido, or leave out --png.") from error
    paths, requests = [folder / f"{figure.id}.png" for figure in figures], []
    for figure, path in zip(figures, paths, strict=True):
        plot = figure.themed("light").update_layout(paper_bgcolor="white", plot_bgcolor="white")
        size = {"width": _PNG_WIDTH, "height": figure.height, "scale": _PNG_SCALE}
        requests.append({"fig": plot, "path": path, "opts": size})
    try:
        kaleido.write_fig_from_object_sync(requests, cancel_on_error=True, kopts={"mathjax": False})
    except (ChromeNotFoundError, BrowserFailedError) as error:
        raise UsageError(
            "PNG files need Chromium or Chrome: install one, name its program in BROWSER_PATH, or leave out --png."
        ) from error
    return paths
