"""The stacked two-layer network and its training. Knows nothing of the search that uses it."""

from model.hyperparams import Hyperparameters, Settings


__all__ = ["Hyperparameters", "Settings"]
