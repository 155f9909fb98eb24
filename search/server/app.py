"""The application: our own routes, optuna-dashboard under every other path, and the guard before both."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import cast

from a2wsgi import WSGIMiddleware
from fastapi import FastAPI, Request, Response

from coarsefine.search.errors import StorageError, UsageError
from coarsefine.search.server import responses
from coarsefine.search.server.access import AccessPolicy
from coarsefine.search.server.api import make_api
from coarsefine.search.server.change_detector import ChangeDetector
from coarsefine.search.server.dashboard import SharedStorage, make_dashboard
from coarsefine.search.server.middleware import AccessMiddleware, App, Receive, Scope, Send
from coarsefine.search.server.redaction import redact
from coarsefine.search.server.snapshot_cache import SnapshotCache
from coarsefine.search.server.snapshots import SnapshotReader
from coarsefine.search.server.web import make_web
from coarsefine.search.storage.location import Location, read_only
from coarsefine.search.storage.optuna_storage import check_storage

_OURS = ("/campaigns", "/assets", "/api/v1", "/login", "/logout")


class Application:
    """What uvicorn serves: everything over one storage."""

    def __init__(self, location: Location, policy: AccessPolicy) -> None:
        check_storage(location, writing=policy.allow_write)
        self.storage = SharedStorage(location if policy.allow_write else read_only(location))
        self._changes = ChangeDetector(self.storage)
        self.campaigns = SnapshotReader(self.storage, self.storage.reader, self._changes)
        self.cache = SnapshotCache(self.campaigns)
        self.ours = _our_routes(self.cache, policy, self._close)
        self._dashboard = cast("App", WSGIMiddleware(make_dashboard(self.storage, self._changes)))  # type: ignore[arg-type]
        self._guard = AccessMiddleware(self._share, policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI has it."""
        await self._guard(scope, receive, send)

    async def _share(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "lifespan" or _is_ours(scope["path"])
        await (self.ours if ours else self._dashboard)(scope, receive, send)

    def _close(self) -> None:
        self._changes.close()
        self.storage.close()


def create_app(location: Location, policy: AccessPolicy) -> Application:
    """Return the application over the studies at a location; raise `StorageError` where there are none."""
    return Application(location, policy)


def _is_ours(path: str) -> bool:
    return path == "/" or any(path == ours or path.startswith(f"{ours}/") for ours in _OURS)


def _our_routes(cache: SnapshotCache, policy: AccessPolicy, close: Callable[[], None]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(cache.warm())
        yield
        await warming
        close()

    routes = FastAPI(
        title="Coarsefine",
        description="Campaigns of staged random search. Every answer is read-only.",
        version=version("coarsefine"),
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        lifespan=lifespan,
    )
    routes.include_router(make_api(cache))
    routes.include_router(make_web(cache, policy))
    routes.add_exception_handler(UsageError, _tell_missing)
    routes.add_exception_handler(StorageError, _tell_unreadable)
    routes.add_exception_handler(Exception, _tell_bug)
    return routes


async def _tell_missing(_: Request, error: Exception) -> Response:
    return _problem(404, str(error))


async def _tell_unreadable(_: Request, __: Exception) -> Response:
    return _problem(503, "The storage cannot be read just now; the server's log says why.")


async def _tell_bug(_: Request, __: Exception) -> Response:
    return _problem(500, "The server made a mistake; its log says which.")


def _problem(status: int, told: str) -> Response:
    return Response(redact(responses.to_json({"detail": told})), status, media_type="application/json")
