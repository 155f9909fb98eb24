"""The pages for people, and the files they need."""

from pathlib import Path

import plotly
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from search.server.campaigns import Campaigns

PAGES = Path(__file__).parent / "pages"
_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_CACHED = {"Cache-Control": "max-age=86400"}
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png"}


def make_web(campaigns: Campaigns, *, allow_write: bool) -> APIRouter:
    """Return the routes of the pages and their files."""
    web = APIRouter(include_in_schema=False)
    templates = Jinja2Templates(PAGES)

    @web.get("/")
    def open_first(request: Request) -> Response:
        names = campaigns.names()
        path = request.url_for("show_campaign", name=names[0]).path if len(names) == 1 else "/campaigns"
        return RedirectResponse(path, 303)

    @web.get("/campaigns")
    def show_list(request: Request) -> Response:
        return templates.TemplateResponse(request, "campaigns.html", {"allow_write": allow_write})

    @web.get("/campaigns/{name}")
    def show_campaign(request: Request, name: str) -> Response:
        campaigns.view(name)
        told = {"campaign": name, "allow_write": allow_write}
        return templates.TemplateResponse(request, "campaign.html", told)

    @web.get("/assets/plotly.min.js")
    def send_plotly() -> Response:
        return FileResponse(_PLOTLY, media_type="text/javascript", headers=_CACHED)

    @web.get("/assets/{file}")
    def send_asset(file: str) -> Response:
        path = PAGES / file
        if path.parent != PAGES or path.suffix not in _KINDS or not path.is_file():
            raise HTTPException(404, f"There is no file {file!r}.")
        return FileResponse(path, media_type=_KINDS[path.suffix], headers={"Cache-Control": "no-cache"})

    return web
