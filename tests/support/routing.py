"""List every route of a server: ours, and those of optuna-dashboard."""

import re

import optuna_dashboard
from fastapi.routing import iter_route_contexts

READING = {"GET", "HEAD", "OPTIONS"}


def routes(app):
    """Return every route as (method, path): ours from FastAPI's table, the dashboard's from Bottle's."""
    ours = [(method, route.path) for route in iter_route_contexts(app.fastapi.routes) for method in route.methods]
    theirs = [(route.method, route.rule) for route in optuna_dashboard.wsgi(app.storage).routes]
    return [(method, filled(path)) for method, path in (*ours, *theirs)]


def filled(path):
    """Return a route's path with an existing value for each of its parameters."""
    for name, value in {
        "name": "small",
        "stage": "coarse",
        "figure": "map",
        "plot_type": "slice",
        "file": "page.css",
    }.items():
        path = path.replace(f"{{{name}}}", value).replace(f"<{name}>", value)
    path = path.replace("<:re:(/.*)?>", "/studies/1").replace("<filename:path>", "bundle.js")
    return re.sub(r"[<{][^>}]*[>}]", "1", path)
