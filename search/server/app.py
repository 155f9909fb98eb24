"""The ASGI application: our own routes, optuna-dashboard under its paths, and the access check before both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import cast

from a2wsgi import WSGIMiddleware
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coarsefine.search.errors import StorageError, UsageError
from coarsefine.search.server import api, page_routes
from coarsefine.search.server.access import AccessPolicy
from coarsefine.search.server.caching_storage import CachingStorage
from coarsefine.search.server.change_detector import ChangeDetector
from coarsefine.search.server.dashboard import make_dashboard
from coarsefine.search.server.middleware import AccessMiddleware, is_own
from coarsefine.search.server.problems import problem
from coarsefine.search.server.snapshot_cache import SnapshotCache
from coarsefine.search.server.snapshots import SnapshotReader
from coarsefine.search.storage.location import Location, read_only
from coarsefine.search.storage.opening import check_storage

_METHODS = {"/login": "GET, HEAD, POST", "/logout": "POST"}
"""The methods of our paths that have others than GET and HEAD."""


class Application:
    """Serve the studies of one storage; raise `StorageError` if the location holds none."""

    def __init__(self, location: Location, policy: AccessPolicy) -> None:
        check_storage(location, writing=policy.allow_write)
        self.storage = CachingStorage(location if policy.allow_write else read_only(location))
        changes = ChangeDetector(self.storage)
        self.cache = SnapshotCache(SnapshotReader(self.storage, changes))
        self.fastapi = _make_fastapi()
        state = self.fastapi.state
        state.storage, state.changes, state.cache, state.policy = self.storage, changes, self.cache, policy
        self._dashboard = cast("ASGIApp", WSGIMiddleware(make_dashboard(self.storage, changes)))  # type: ignore[arg-type]
        self._checked = AccessMiddleware(self._dispatch, policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        await self._checked(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or is_own(scope["path"]):
            if scope.get("method") == "HEAD":
                scope, send = {**scope, "method": "GET"}, _only_head(send)
            await self.fastapi(scope, receive, send)
        else:
            await self._dashboard(scope, receive, send)


def _only_head(send: Send) -> Send:
    """Return a `send` that ends the response after its headers, so that HEAD is answered like GET."""
    ended = False

    async def send_head(message: Message) -> None:
        nonlocal ended
        if message["type"] == "http.response.start":
            await send(message)
        elif not ended:
            ended = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_head


def _make_fastapi() -> FastAPI:
    app = FastAPI(
        title="Coarsefine",
        description="Campaigns of staged random search. Every answer is read-only.",
        version=version("coarsefine"),
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        lifespan=_lifespan,
        exception_handlers={
            HTTPException: _answer_http_error,
            **dict.fromkeys((UsageError, StorageError, Exception), _answer_error),
        },
    )
    app.include_router(api.router)
    app.include_router(page_routes.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Read every campaign once at the start; close the storage at the end."""
    warming = asyncio.create_task(app.state.cache.warm())
    yield
    try:
        await warming
    finally:
        app.state.changes.close()
        app.state.storage.close()


async def _answer_error(request: Request, error: Exception) -> Response:
    if isinstance(error, UsageError):
        status, detail = 404, str(error)
    elif isinstance(error, StorageError):
        status, detail = 503, "The storage cannot be read just now; the server's log has the reason."
    else:
        status, detail = 500, "The server failed because of a bug; its log has the details."
    return _problem(request, status, detail)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """Answer what a route or the router refuses: a missing resource, or a method that its path does not have."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:  # the router names the methods of a path's first route only
        headers = {"Allow": _METHODS.get(request.url.path, "GET, HEAD")}
    detail = "There is no such page." if error.detail == "Not Found" else str(error.detail)
    return _problem(request, error.status_code, detail, headers)


def _problem(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return problem(request.url.path, request.headers.get("accept", ""), status, detail, headers)
