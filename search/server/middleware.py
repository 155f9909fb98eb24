"""The ASGI middleware in front of everything that is served: it checks each request and sets the security headers.

It decides by host, origin, token and method, before any routing, so that no spelling of a path avoids the checks. The
only exceptions are the paths that the login page needs.
"""

import asyncio
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coarsefine.search.server.access import AccessPolicy, Client
from coarsefine.search.server.connections import network_of
from coarsefine.search.server.guesses import TooManyGuesses
from coarsefine.search.server.problems import problem

_READ_METHODS = {"GET", "HEAD", "OPTIONS"}
_LOGIN_PATHS = {"/login", "/logout"}
_DASHBOARD_PATHS = ("/dashboard/", "/api/", "/csv/", "/static/", "/artifacts/", "/favicon.ico/")
GUESS_SECONDS = 1.0
"""How long the answer to a guess that nobody has looked at is held back, so that guessing costs the server little."""
_SAME_SITE = {"same-origin", "none"}
_PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The dashboard draws its parallel coordinates with WebGL, for which Plotly compiles functions at run time.
_DASHBOARD_CSP = _PAGE_CSP.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'").replace(
    "style-src 'self'", "style-src 'self' data:"
)
_DATA_CSP = "default-src 'none'; sandbox; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_CACHED_PATHS = ("/assets/", "/static/")
_DOWNLOAD_PATHS = ("/artifacts/", "/csv/")
"""Paths under which the dashboard serves content that others wrote: browsers must save it and never open it."""


class AccessMiddleware:
    """Pass the requests that the policy allows to an application and refuse the others; set security headers."""

    def __init__(self, app: ASGIApp, policy: AccessPolicy) -> None:
        self._app, self._policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            secured = _with_security_headers(scope["path"], send)
            try:
                refusal = self._refusal(scope)
            except TooManyGuesses as error:
                await asyncio.sleep(GUESS_SECONDS)
                refusal = _refuse(scope, 429, str(error), {"Retry-After": str(error.seconds)})
            await (refusal or self._app)(scope, receive, secured)
        else:  # the server uses no WebSocket
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the response to a request that is refused, or None if it may pass.

        The application finds the session in `scope["state"]["session"]`. Raises `TooManyGuesses`.
        """
        headers = Headers(raw=_lower(scope["headers"]))
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._policy.allows_host(hosts[0]):
            return _refuse(
                scope, 421, "This server has another name. To allow this one, start it with --allowed-host NAME."
            )
        method, path = scope["method"], scope["path"]
        writes = method not in _READ_METHODS
        if writes and not _is_same_origin(headers, hosts[0]):
            return _refuse(scope, 403, "A page of another site may not write here.")
        if path in _LOGIN_PATHS or (path.startswith("/assets/") and not writes):
            return None
        session = self._policy.session(headers.get("authorization"), headers.getlist("cookie"), client_of(scope))
        state = scope.setdefault("state", {})
        state["session"] = session
        if "connection" in state:
            state["connection"].identify(known=session is not None)
        if session is None:
            return _ask_to_sign_in(scope, headers)
        return self._write_refusal(scope, method, path) if writes else None

    def _write_refusal(self, scope: Scope, method: str, path: str) -> Response | None:
        if is_own(path):
            return _refuse(scope, 405, "There is nothing to write here.", {"Allow": "GET, HEAD"})
        if not self._policy.allow_write:
            return _refuse(
                scope, 403, "This server is read-only. To change notes and delete studies, start it with --allow-write."
            )
        if not self._policy.allows_write(method, path):
            return _refuse(scope, 403, "--allow-write allows changing notes and deleting studies, and nothing else.")
        return None


def is_own(path: str) -> bool:
    """Return whether a path is for our own routes, and not for optuna-dashboard's."""
    return f"{path}/".startswith("/api/v1/") or not f"{path}/".startswith(_DASHBOARD_PATHS)


def client_of(scope: Scope) -> Client:
    """Return where a request comes from."""
    address = network_of((scope.get("client") or ("",))[0])
    connection = scope.get("state", {}).get("connection")
    return Client(address, connection.address if connection else address)


def _is_same_origin(headers: Headers, host: str) -> bool:
    """Return whether a write comes from a page of this server, or from a program that is not a browser.

    Browsers always send Origin or Sec-Fetch-Site with a write.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in _SAME_SITE:
        return False
    return origin is None or origin.partition("://")[2].lower() == host.lower()


def _ask_to_sign_in(scope: Scope, headers: Headers) -> Response:
    """Redirect browsers to the login page; refuse other clients."""
    if scope["method"] in {"GET", "HEAD"} and "text/html" in headers.get("accept", ""):
        path, query = scope.get("raw_path") or quote(scope["path"]).encode(), scope["query_string"]
        back = quote(path + (b"?" + query if query else b""), safe="/")
        return _refuse(scope, 303, "Sign in first.", {"Location": f"/login?next={back}"})
    detail = "This server requires its token: sign in at /login, or send `Authorization: Bearer TOKEN`."
    return _refuse(scope, 401, detail, {"WWW-Authenticate": 'Bearer realm="coarsefine"'})


def _refuse(scope: Scope, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    accept = Headers(raw=_lower(scope["headers"])).get("accept", "")
    return problem(scope["path"], accept, status, detail, headers, remedy=False)


def _with_security_headers(path: str, send: Send) -> Send:
    """Return a `send` that adds the security headers to the response."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = _secured(path, MutableHeaders(raw=_lower(message["headers"]))).raw
        await send(message)

    return send_with_headers


def _secured(path: str, headers: MutableHeaders) -> MutableHeaders:
    """Change a response's headers: set the security headers always, and the others unless they are set already."""
    del headers["Access-Control-Allow-Origin"], headers["Server"]
    if not path.startswith(_CACHED_PATHS):
        headers.setdefault("Cache-Control", "no-cache, private")
    if path.startswith(_DOWNLOAD_PATHS):
        headers.setdefault("Content-Disposition", "attachment")
    headers.update({**_SECURITY_HEADERS, "Content-Security-Policy": _csp(path, headers.get("content-type", ""))})
    return headers


def _lower(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers with their names in lower case, by which Starlette finds them."""
    return [(name.lower(), value) for name, value in headers]


def _csp(path: str, content_type: str) -> str:
    """Return the Content-Security-Policy: a page's by its path; other content may do nothing if opened as a page."""
    if path.startswith(_DOWNLOAD_PATHS) or not content_type.startswith("text/html"):
        return _DATA_CSP
    return _DASHBOARD_CSP if path.startswith("/dashboard") else _PAGE_CSP
