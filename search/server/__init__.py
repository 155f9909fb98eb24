"""`coarsefine serve`: the campaign pages, JSON under /api/v1, and optuna-dashboard, behind one access check."""

from coarsefine.search.server.access import AccessPolicy
from coarsefine.search.server.app import Application, create_app
from coarsefine.search.server.serve import ServeOptions, serve

__all__ = ["AccessPolicy", "Application", "ServeOptions", "create_app", "serve"]
