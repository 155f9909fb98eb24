"""The pages for people, the files they need, and signing in."""

import re
from pathlib import Path
from urllib.parse import parse_qs, quote

import plotly
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from coarsefine.search.server.access import COOKIE_SECONDS, AccessPolicy
from coarsefine.search.server.snapshot_cache import SnapshotCache

PAGES = Path(__file__).parent / "pages"
_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_FOR_A_DAY = {"Cache-Control": "public, max-age=86400"}
_ASKED_AGAIN = {"Cache-Control": "no-cache"}
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png"}
_LARGEST_FORM = 4096
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""A path on this server, in ASCII and without a backslash: browsers take `//` and `/\\` for another server's name."""


def make_web(cache: SnapshotCache, policy: AccessPolicy) -> APIRouter:
    """Return the routes of the pages, of their files, and of signing in."""
    web = APIRouter(include_in_schema=False)
    templates = Jinja2Templates(PAGES)

    @web.get("/")
    async def open_first() -> Response:
        names = await cache.names()
        return RedirectResponse(f"/campaigns/{quote(names[0])}" if len(names) == 1 else "/campaigns", 303)

    @web.get("/campaigns")
    async def show_list(request: Request) -> Response:
        return templates.TemplateResponse(request, "campaigns.html", {"allow_write": policy.allow_write})

    @web.get("/campaigns/{name}")
    async def show_campaign(request: Request, name: str) -> Response:
        await cache.get(name)
        told = {"campaign": name, "allow_write": policy.allow_write}
        return templates.TemplateResponse(request, "campaign.html", told)

    @web.get("/login")
    async def ask_token(request: Request, next: str = "/") -> Response:  # noqa: A002 - the form's field
        if policy.token is None:
            return RedirectResponse("/", 303)
        return templates.TemplateResponse(request, "login.html", {"next": _own(next), "error": ""})

    @web.post("/login")
    async def sign_in(request: Request) -> Response:
        form = parse_qs((await _read_form(request)).decode("utf-8", "replace"))
        back = _own(form.get("next", ["/"])[0])
        if not policy.opens(form.get("token", [""])[0].strip()):
            told = {"next": back, "error": "That is not the token."}
            return templates.TemplateResponse(request, "login.html", told, 401)
        answer = RedirectResponse(back, 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            policy.cookie, policy.new_cookie(), max_age=COOKIE_SECONDS, httponly=True, samesite="strict", secure=secure
        )
        return answer

    @web.post("/logout")
    async def sign_out() -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(policy.cookie, httponly=True, samesite="strict")
        return answer

    @web.get("/assets/plotly.min.js")
    async def send_plotly() -> Response:
        return FileResponse(_PLOTLY, media_type="text/javascript", headers=_FOR_A_DAY)

    @web.get("/assets/{file}")
    async def send_asset(file: str) -> Response:
        path = PAGES / file
        if file not in _FILES:
            raise HTTPException(404, "There is no such file.")
        return FileResponse(path, media_type=_KINDS[path.suffix], headers=_ASKED_AGAIN)

    return web


_FILES = {path.name for path in PAGES.iterdir() if path.suffix in _KINDS}


async def _read_form(request: Request) -> bytes:
    """Return a request's body; who sends more than a token does not sign in."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            raise HTTPException(413, "That is too long for a token.")
    return body


def _own(path: str) -> str:
    return path if _OWN_PATH.fullmatch(path) else "/"
