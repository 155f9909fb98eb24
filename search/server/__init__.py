"""`coarsefine serve`: the campaign pages, JSON under /api/v1, and optuna-dashboard, behind one door."""

from search.server.app import create_app

__all__ = ["create_app"]
