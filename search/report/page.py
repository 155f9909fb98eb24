"""Renders a report as one HTML file that contains all its scripts, figures and numbers, and requests nothing."""

import base64
import hashlib
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from coarsefine.search.campaign import labels
from coarsefine.search.campaign.metric import Accuracy
from coarsefine.search.report import formatting
from coarsefine.search.report.commands import commands_for
from coarsefine.search.report.content import Content
from coarsefine.search.report.figures import Figure

_FOLDER = files("coarsefine.search.report") / "templates"


def render(content: Content, figures: Sequence[Figure]) -> str:
    """Return the page.

    Everything from the storage is escaped, as text or as JSON. In addition, the page's content security policy allows
    only its own two scripts, by their hashes, and no requests.
    """
    scripts = [_script(get_plotlyjs()), _script((_FOLDER / "report.js").read_text("utf-8"))]
    sections = {figure.section for figure in figures}
    page = "report.html.j2" if content.images else "function.html.j2"
    return _environment().get_template(page).render(
        content=content,
        status=_shareable_status(content),
        dataset=content.campaign.data.title if content.campaign.data else "",
        figures={section: [f for f in figures if f.section == section] for section in sections},
        commands=commands_for(content),
        accuracy=Accuracy,
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
    for name in ("number", "scientific", "percent", "points", "with_error", "with_interval", "interval", "duration"):
        environment.filters[name] = getattr(formatting, name)
    for name in ("symbol", "quantities", "nouns", "point_text", "space_text", "space_kinds"):
        environment.filters[name] = getattr(labels, name)
    return environment


def _script(text: str) -> tuple[Markup, str]:
    """Return a script, and the source expression of the policy that allows it."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"'sha256-{digest}'"  # noqa: S704 - Plotly's or our own


def _shareable_status(content: Content) -> dict[str, Any]:
    """Return the JSON of `status` without paths on the writer's machine, since a report is made to be shared."""
    status = content.status.as_dict()
    del status["storage"]
    for training in (*([status["final"]] if status["final"] else []), *status["trainings"]):
        del training["folder"]
    return status


def _made() -> dict[str, str]:
    """Return when and with what the report is written."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("coarsefine", "optuna", "numpy", "plotly"))
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "by": f"Python {platform.python_version()}, {libraries}",
        "machine": f"{platform.system()} {platform.machine()}",
    }
