"""The response to a request that fails: a page for browsers, JSON for programs."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from fastapi.templating import Jinja2Templates
from starlette.responses import Response

from coarsefine.search.server.redaction import redact

PAGES = Path(__file__).parent / "pages"
"""The folder of the pages' templates, scripts and styles."""
templates = Jinja2Templates(PAGES)
_DATA_PATHS = ("/api/", "/csv/", "/static/", "/assets/", "/artifacts/")


def problem(
    path: str, accept: str, status: int, detail: str, headers: Mapping[str, str] | None = None, *, remedy: bool = True
) -> Response:
    """Return a response with a status and a sentence: a page if a browser asked for one, else JSON.

    A page without a `remedy` does not link to the campaigns, which the client may not see.
    """
    if "text/html" in accept and not path.startswith(_DATA_PATHS):
        title = HTTPStatus(status).phrase
        text = templates.get_template("problem.html").render(title=title, detail=detail, link=remedy)
        return Response(redact(text.encode()), status, headers, "text/html")
    return Response(redact(json.dumps({"detail": detail}).encode()), status, headers, "application/json")
