"""`coarsefine serve`: the campaign pages, JSON under /api/v1, and optuna-dashboard, behind one door."""

from search.server.app import Application, create_app
from search.server.door import Door
from search.server.serve import Access, serve

__all__ = ["Access", "Application", "Door", "create_app", "serve"]
