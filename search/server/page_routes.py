"""The routes of the HTML pages, of their scripts and styles, and of signing in and out."""

import asyncio
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, quote

import plotly
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from starlette.requests import ClientDisconnect

from coarsefine.search.charts import STAGE_COLOURS
from coarsefine.search.results.commands import storage_option_elsewhere
from coarsefine.search.server.access import AccessPolicy
from coarsefine.search.server.api import Cache
from coarsefine.search.server.guesses import TooManyGuesses
from coarsefine.search.server.middleware import GUESS_SECONDS, client_of
from coarsefine.search.server.problems import PAGES, templates
from coarsefine.search.server.sessions import SESSION_SECONDS

_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_ASSETS = {path.name: path for path in (*PAGES.iterdir(), _PLOTLY) if path.suffix in _MEDIA_TYPES}
_MAX_FORM_BYTES = 4096
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""A path on this server, in ASCII and without a backslash: browsers take `//` and `/\\` for another server's name."""


async def _policy(request: Request) -> AccessPolicy:
    policy: AccessPolicy = request.app.state.policy
    return policy


_Policy = Annotated[AccessPolicy, Depends(_policy)]
router = APIRouter(include_in_schema=False)


@router.get("/")
async def open_first(cache: Cache) -> Response:
    """Redirect to the only campaign, or to the list."""
    names = list((await cache.index()).stages)
    return RedirectResponse(f"/campaigns/{quote(names[0])}" if len(names) == 1 else "/campaigns", 303)


@router.get("/campaigns")
async def show_list(request: Request) -> Response:
    """Show the list of campaigns."""
    return templates.TemplateResponse(request, "campaigns.html")


@router.get("/campaigns/{name}")
async def show_campaign(request: Request, cache: Cache, name: str) -> Response:
    """Show the page of a campaign."""
    await cache.get(name)  # raises the errors that become status codes
    option = storage_option_elsewhere(request.app.state.storage.location, "URL")
    context = {"campaign": name, "stage_colours": STAGE_COLOURS, "storage_option": option}
    return templates.TemplateResponse(request, "campaign.html", context)


@router.get("/login")
async def show_login(request: Request, policy: _Policy, next: str = "/") -> Response:  # noqa: A002 - the form's field
    """Show the form that asks for the token."""
    if policy.token is None:
        return RedirectResponse("/", 303)
    return templates.TemplateResponse(request, "login.html", {"next": _own_path(next), "error": ""})


@router.post("/login")
async def sign_in(request: Request, policy: _Policy) -> Response:
    """Check the token, set the cookie, and redirect to the page that the browser first asked for."""
    form = parse_qs((await _read_form(request)).decode("utf-8", "replace"))
    back, candidate = _own_path(form.get("next", ["/"])[0]), form.get("token", [""])[0].strip()
    try:
        if not policy.is_token(candidate, client_of(request.scope)):
            return _ask_again(request, back, 401, "That is not the token.")
    except TooManyGuesses as error:
        await asyncio.sleep(GUESS_SECONDS)
        return _ask_again(request, back, 429, str(error), {"Retry-After": str(error.seconds)})
    response = RedirectResponse(back, 303)
    secret, secure = policy.sessions.begin(), request.url.scheme == "https"
    response.set_cookie(policy.cookie, secret, max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure)
    return response


@router.post("/logout")
async def sign_out(request: Request, policy: _Policy) -> Response:
    """End the session, and delete its cookie."""
    for secret in policy.secrets(request.headers.getlist("cookie")):
        policy.sessions.end(secret)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(policy.cookie, httponly=True, samesite="strict")
    return response


@router.get("/assets/{file}")
async def send_asset(file: str) -> Response:
    """Send a script, a style sheet or a picture; plotly.js is the one that the installed plotly contains."""
    if file not in _ASSETS:
        raise HTTPException(404, "There is no such file.")
    path = _ASSETS[file]
    cached = "public, max-age=86400" if path == _PLOTLY else "no-cache"
    return FileResponse(path, media_type=_MEDIA_TYPES[path.suffix], headers={"Cache-Control": cached})


def _ask_again(
    request: Request, back: str, status: int, error: str, headers: dict[str, str] | None = None
) -> Response:  # fmt: skip
    context = {"next": back, "error": error}
    return templates.TemplateResponse(request, "login.html", context, status, headers)


async def _read_form(request: Request) -> bytes:
    """Return a request's body; refuse one that is larger than a token needs, or that does not come to its end."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_FORM_BYTES:
                raise HTTPException(413, "The form is too long for a token.")
    except ClientDisconnect as error:
        raise HTTPException(400, "The form is not whole.") from error
    return body


def _own_path(path: str) -> str:
    """Return a path on this server as it is, and "/" instead of any other address."""
    return path if _OWN_PATH.fullmatch(path) else "/"
