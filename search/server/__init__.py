"""`coarsefine serve`: the campaign pages, the JSON API and optuna-dashboard, behind one access check."""

from coarsefine.search.server.access import AccessPolicy
from coarsefine.search.server.app import Application
from coarsefine.search.server.serve import ServeOptions, serve

__all__ = ["AccessPolicy", "Application", "ServeOptions", "serve"]
