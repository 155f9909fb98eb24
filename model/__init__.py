"""The stacked two-layer network and its training. Knows nothing of the search that uses it."""

from model.checkpoint import Network
from model.hyperparams import Hyperparameters, Settings
from model.train import Evaluation, Report, Training, evaluate, train

__all__ = ["Evaluation", "Hyperparameters", "Network", "Report", "Settings", "Training", "evaluate", "train"]
