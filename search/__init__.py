"""Staged random search over Optuna studies: `from search import Campaign, run`."""

from search.campaign import Campaign
from search.errors import CampaignError, Interrupted, NothingCompleted, SearchError, StorageError, UsageError
from search.run import Watcher, run
from search.status import Status

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
    "run",
]
