"""`coarsefine serve`: the campaign pages, JSON under /api/v1, and optuna-dashboard, behind one door."""

from coarsefine.search.server.access import Door
from coarsefine.search.server.app import Application, create_app
from coarsefine.search.server.serve import Access, serve

__all__ = ["Access", "Application", "Door", "create_app", "serve"]
