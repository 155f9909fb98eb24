"""The stacked two-layer network and its training. Knows nothing of the search that uses it."""

from coarsefine.model.hyperparameters import Hyperparameters, TrainingSettings
from coarsefine.model.saved_network import Network
from coarsefine.model.training import Evaluation, Report, Training, evaluate, train

__all__ = ["Evaluation", "Hyperparameters", "Network", "Report", "Training", "TrainingSettings", "evaluate", "train"]
