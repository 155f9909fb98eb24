"""Stands before everything that is served, optuna-dashboard too: it decides by host, origin, token and method alone.

It never asks which path is whose, so that no spelling of a path gets around it; only what the login page needs is open.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from coarsefine.search.server.access import AccessPolicy

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_READING = {"GET", "HEAD", "OPTIONS"}
_SIGNING = {"/login", "/logout"}
_SAME = {"same-origin", "none"}
_OURS = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The dashboard draws its parallel coordinates with WebGL, for which Plotly compiles functions at run time.
_DASHBOARD = _OURS.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'").replace(
    "style-src 'self'", "style-src 'self' data:"
)
_NOTHING = "default-src 'none'; sandbox; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_CACHED = ("/assets/", "/static/")
_FILES = ("/artifacts/", "/csv/")
"""Where the dashboard serves what somebody else wrote: to be kept, never to be opened."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: int
    told: str
    headers: tuple[tuple[str, str], ...] = ()


class AccessMiddleware:
    """Lets requests through to an application, or answers them itself; sets the headers of what comes back."""

    def __init__(self, app: App, policy: AccessPolicy) -> None:
        self._app, self._policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            guarded = _with_headers(scope["path"], send)
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(scope, receive, guarded)
            else:
                await _refuse(refusal, guarded)
        else:  # nothing here speaks by WebSocket
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> _Refusal | None:
        headers = _Headers(scope["headers"])
        hosts = headers.all("host")
        if len(hosts) != 1 or not self._policy.knows(hosts[0]):
            return _Refusal(421, "This server does not go by that name. Start it with --allowed-host NAME to let it.")
        writes = scope["method"] not in _READING
        if writes and not _is_same_origin(headers, hosts[0]):
            return _Refusal(403, "Another site's page may not write here.")
        path = scope["path"]
        if path in _SIGNING or (path.startswith("/assets/") and not writes):
            return None
        if not self._policy.admits(headers.one("authorization"), headers.all("cookie")):
            return _sign_in(scope, headers)
        if writes and not self._policy.allow_write:
            return _Refusal(403, "This server only reads. Start it with --allow-write to change notes and studies.")
        return None


class _Headers:
    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._raw if key == name]

    def one(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)


def _is_same_origin(headers: _Headers, host: str) -> bool:
    """Tell whether a write comes from a page of ours, or from no page at all. Browsers always tell one or the other."""
    site, origin = headers.one("sec-fetch-site"), headers.one("origin")
    if site is not None and site not in _SAME:
        return False
    return origin is None or origin.partition("://")[2].lower() == host.lower()


def _sign_in(scope: Scope, headers: _Headers) -> _Refusal:
    if scope["method"] == "GET" and "text/html" in (headers.one("accept") or ""):
        path, query = scope.get("raw_path") or quote(scope["path"]).encode(), scope["query_string"]
        back = quote(path + (b"?" + query if query else b""), safe="/")
        return _Refusal(303, "Sign in first.", (("Location", f"/login?next={back}"),))
    told = "This server wants its token: sign in at /login, or send `Authorization: Bearer TOKEN`."
    return _Refusal(401, told, (("WWW-Authenticate", 'Bearer realm="coarsefine"'),))


async def _refuse(refusal: _Refusal, send: Send) -> None:
    body = json.dumps({"detail": refusal.told}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *refusal.headers]
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _with_headers(path: str, send: Send) -> Send:
    """Return a `send` that sets the headers that hold for every answer."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            raw = [(name.lower(), value) for name, value in message["headers"]]
            given = _Headers(raw)
            set_ = _ALWAYS | _policy(path, given.one("content-type") or "")
            usual = {} if path.startswith(_CACHED) else {"Cache-Control": "no-cache, private"}
            usual |= {"Content-Disposition": "attachment"} if path.startswith(_FILES) else {}
            added = {name: value for name, value in usual.items() if given.one(name.lower()) is None} | set_
            dropped = {b"access-control-allow-origin", b"server", *(name.lower().encode() for name in set_)}
            kept = [(name, value) for name, value in raw if name not in dropped]
            message["headers"] = [*kept, *((name.lower().encode(), value.encode()) for name, value in added.items())]
        await send(message)

    return guarded


def _policy(path: str, kind: str) -> dict[str, str]:
    """Return what a page may do, by its path; what is no page may do nothing, should somebody open it as one."""
    if path.startswith(_FILES) or not kind.startswith("text/html"):
        return {"Content-Security-Policy": _NOTHING}
    return {"Content-Security-Policy": _DASHBOARD if path.startswith("/dashboard") else _OURS}
