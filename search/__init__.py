"""Staged random search over Optuna studies: `from search import Campaign, run`."""

from search.campaign import Campaign
from search.errors import (
    CampaignError,
    Interrupted,
    NothingCompleted,
    SearchError,
    StorageError,
    TrialEnded,
    UsageError,
    WorkersFailed,
)
from search.export import read_export
from search.function import batched
from search.run import run
from search.status import Status
from search.train import train
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
    "TrialEnded",
    "UsageError",
    "Watcher",
    "WorkersFailed",
    "batched",
    "join",
    "read_export",
    "run",
    "train",
]
