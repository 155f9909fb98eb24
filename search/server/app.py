"""The application: our own routes first, optuna-dashboard under everything else."""

import optuna_dashboard
from a2wsgi import WSGIMiddleware
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from search.database import Location
from search.errors import UsageError
from search.server.api import make_api
from search.server.campaigns import Campaigns
from search.server.web import make_web
from search.storage import open_storage


def create_app(location: Location, *, allow_write: bool = False) -> FastAPI:
    """Return the application over the studies at a location."""
    storage = open_storage(location)
    campaigns = Campaigns(storage)
    app = FastAPI(title="Coarsefine", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    app.include_router(make_api(campaigns))
    app.include_router(make_web(campaigns, allow_write=allow_write))
    app.add_exception_handler(UsageError, _not_found)
    app.mount("/", WSGIMiddleware(optuna_dashboard.wsgi(storage)))  # type: ignore[arg-type]
    return app


def _not_found(_: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 404)
