"""The report as one HTML file that asks for nothing: scripts, figures and numbers are in it."""

import base64
import hashlib
import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from coarsefine.search.campaign import labels as hyperparameters
from coarsefine.search.campaign.accuracy import Accuracy
from coarsefine.search.report import formatting
from coarsefine.search.report.commands import commands_for
from coarsefine.search.report.content import Story
from coarsefine.search.report.figures import Figure
from coarsefine.search.report.importance import Importance

_DATASETS = {"digits": "8×8 handwritten digits", "cifar10": "CIFAR-10"}
_FOLDER = files("coarsefine.search.report") / "templates"


def render(story: Story, figures: Sequence[Figure]) -> str:
    """Return the whole page.

    What comes out of the storage is escaped, as text or as JSON; on top of that, the page's policy lets no script run
    but its own two, known by their hashes, and no request leave.
    """
    scripts = [_script(get_plotlyjs()), _script((_FOLDER / "report.js").read_text("utf-8"))]
    page = "report.html.j2" if story.images else "function.html.j2"
    return _environment().get_template(page).render(
        story=story,
        status=_shareable(story),
        dataset=_DATASETS[story.campaign.data.dataset] if story.campaign.data else "",
        figures={section: [_drawn(f) for f in figures if f.section == section] for section in _sections(figures)},
        commands=commands_for(story.campaign, story.location, story.gradient_check, story.momentum),
        accuracy=Accuracy,
        importances=[i for i in story.importances if isinstance(i, Importance)],
        no_importance=[i for i in story.importances if isinstance(i, str)],
        scripts=scripts,
        policy=" ".join(hash_ for _, hash_ in scripts),
        style=Markup((_FOLDER / "report.css").read_text("utf-8")),  # noqa: S704 - our own file
        made=_made(),
    )  # fmt: skip


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("coarsefine.search.report", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "ensure_ascii": False}
    for word in ("number", "scientific", "percent", "points", "with_error", "spread", "interval", "duration"):
        environment.filters[word] = getattr(formatting, word)
    for word in ("symbol", "quantities", "nouns", "point_text", "space_text", "space_kinds"):
        environment.filters[word] = getattr(hyperparameters, word)
    return environment


def _script(text: str) -> tuple[Markup, str]:
    """Return a script, and the source expression that allows it."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"'sha256-{digest}'"  # noqa: S704 - Plotly's or our own


def _sections(figures: Sequence[Figure]) -> set[str]:
    return {figure.section for figure in figures}


def _drawn(figure: Figure) -> dict[str, Any]:
    """Return what the page needs of a figure: its traces once, its layout for light and for dark."""
    light, dark = (json.loads(figure.inked(theme).to_json()) for theme in ("light", "dark"))
    return {
        "id": figure.id,
        "caption": figure.caption,
        "alt": figure.alt,
        "height": figure.plot.layout.height,
        "curves": figure.curves,
        "plot": {"data": light["data"], "layout": {"light": light["layout"], "dark": dark["layout"]}},
    }


def _shareable(story: Story) -> dict[str, Any]:
    """Return the JSON of `status` without what tells of the writer's machine: a report is made to be handed on."""
    told = story.status.as_dict()
    del told["storage"]
    for training in (*([told["final"]] if told["final"] else []), *told["trainings"]):
        del training["folder"]
    return told


def _made() -> dict[str, str]:
    """Return when, by what and on which kind of machine the report is written."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("coarsefine", "optuna", "numpy", "plotly"))
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "by": f"Python {platform.python_version()}, {libraries}",
        "machine": f"{platform.system()} {platform.machine()}",
    }
