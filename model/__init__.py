"""The stacked two-layer network and its training. It imports nothing of `coarsefine.search`.

The public names are imported when they are first used: to read a campaign takes `TrainingSettings` and no SciPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coarsefine.model.hyperparameters import Hyperparameters, TrainingSettings
    from coarsefine.model.saved_network import Network
    from coarsefine.model.training import Evaluation, Report, Training, evaluate, train

_MODULES = {
    "Evaluation": "training",
    "Hyperparameters": "hyperparameters",
    "Network": "saved_network",
    "Report": "training",
    "Training": "training",
    "TrainingSettings": "hyperparameters",
    "evaluate": "training",
    "train": "training",
}
"""The module that defines each public name."""

__all__ = ["Evaluation", "Hyperparameters", "Network", "Report", "Training", "TrainingSettings", "evaluate", "train"]


def __getattr__(name: str) -> Any:
    """Import a public name the first time it is used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value
