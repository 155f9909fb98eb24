"""Staged random search over Optuna studies: `from search import Campaign, run`."""

from search.campaign import Campaign
from search.errors import (
    CampaignError,
    Interrupted,
    NothingCompleted,
    SearchError,
    StorageError,
    UsageError,
    WorkersFailed,
)
from search.run import run
from search.status import Status
from search.walk import join
from search.watcher import Watcher

__all__ = [
    "Campaign",
    "CampaignError",
    "Interrupted",
    "NothingCompleted",
    "SearchError",
    "Status",
    "StorageError",
    "UsageError",
    "Watcher",
    "WorkersFailed",
    "join",
    "run",
]
