"""FastAPI dependencies: what the routes need from the application's state."""

from typing import Annotated

from fastapi import Depends, Request

from coarsefine.search.server.access import AccessPolicy
from coarsefine.search.server.snapshot_cache import SnapshotCache


async def get_cache(request: Request) -> SnapshotCache:
    """Return the snapshots of the storage's campaigns."""
    cache: SnapshotCache = request.app.state.cache
    return cache


async def get_policy(request: Request) -> AccessPolicy:
    """Return the server's access policy."""
    policy: AccessPolicy = request.app.state.policy
    return policy


Cache = Annotated[SnapshotCache, Depends(get_cache)]
Policy = Annotated[AccessPolicy, Depends(get_policy)]
