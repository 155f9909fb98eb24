"""Staged hyperparameter search on Optuna: `import coarsefine`, then `coarsefine.run(coarsefine.Campaign.load(...))`.

The public names are imported when they are first used, so that importing the package costs next to nothing.
`model` and `search` are links to the folders at the top of the repository.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from coarsefine._shadowing import import_unshadowed

if TYPE_CHECKING:
    from coarsefine.model.datasets import Dataset, DatasetKind, cached, key_of
    from coarsefine.model.errors import DataError
    from coarsefine.model.network_setting import NetworkSetting
    from coarsefine.search.campaign.campaign import Campaign
    from coarsefine.search.campaign.pruning import Pruner, Rung
    from coarsefine.search.campaign.sampling import Sampler
    from coarsefine.search.engine.join import join
    from coarsefine.search.engine.run import run
    from coarsefine.search.errors import (
        CampaignError,
        Interrupted,
        NothingCompleted,
        RepeatedFailure,
        SearchError,
        StorageError,
        TrialEnded,
        UsageError,
        WorkersFailed,
    )
    from coarsefine.search.network.export import read_export
    from coarsefine.search.network.train import train
    from coarsefine.search.results.observer import Observer
    from coarsefine.search.results.retry import retry
    from coarsefine.search.results.status import Status
    from coarsefine.search.results.trial_table import trials
    from coarsefine.search.training.user_code.function import batched

    __version__: str

_HOMES = {
    "Campaign": "search.campaign.campaign",
    "DataError": "model.errors",
    "Dataset": "model.datasets",
    "DatasetKind": "model.datasets",
    "NetworkSetting": "model.network_setting",
    "Observer": "search.results.observer",
    "Pruner": "search.campaign.pruning",
    "Rung": "search.campaign.pruning",
    "Sampler": "search.campaign.sampling",
    "Status": "search.results.status",
    "batched": "search.training.user_code.function",
    "cached": "model.datasets",
    "join": "search.engine.join",
    "key_of": "model.datasets",
    "read_export": "search.network.export",
    "retry": "search.results.retry",
    "run": "search.engine.run",
    "train": "search.network.train",
    "trials": "search.results.trial_table",
}
"""The module that defines each public name; the errors of a search are in `search.errors`."""

__all__ = [
    "Campaign",
    "CampaignError",
    "DataError",
    "Dataset",
    "DatasetKind",
    "Interrupted",
    "NetworkSetting",
    "NothingCompleted",
    "Observer",
    "Pruner",
    "RepeatedFailure",
    "Rung",
    "Sampler",
    "SearchError",
    "Status",
    "StorageError",
    "TrialEnded",
    "UsageError",
    "WorkersFailed",
    "__version__",
    "batched",
    "cached",
    "join",
    "key_of",
    "read_export",
    "retry",
    "run",
    "train",
    "trials",
]


def __getattr__(name: str) -> Any:
    """Import a public name, or read the installed version, the first time it is asked for (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - read only if asked for

        value: Any = version("coarsefine")
    elif name in __all__:
        value = getattr(import_module(f"coarsefine.{_HOMES.get(name, 'search.errors')}"), name)
    else:
        raise AttributeError(f"module 'coarsefine' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return __all__


import_unshadowed((*(f"coarsefine.{home}" for home in _HOMES.values()), "distributed"))
