"""The momentum study (the paper's Figure 1): one network, trained with several ρ as one stack."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from coarsefine.model import Hyperparameters, Report, TrainingSettings, train
from coarsefine.model.datasets import Dataset
from coarsefine.search.storage.error_messages import disk_errors

RHOS = (0.0, 0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Curve:
    """The training with one ρ."""

    rho: float
    reports: tuple[Report, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form. Accuracies are fractions of the validation images."""
        last = self.reports[-1]
        return {
            "rho": self.rho,
            "epochs": last.epoch,
            "train_loss": _finite(last.train_loss),
            "validation_loss": _finite(last.validation.loss),
            "validation_accuracy": last.validation.accuracy,
            "best_validation_accuracy": max(report.validation.accuracy for report in self.reports),
            "diverged": last.diverged,
            "train_losses": [_finite(report.train_loss) for report in self.reports],
            "validation_losses": [_finite(report.validation.loss) for report in self.reports],
            "validation_accuracies": [report.validation.accuracy for report in self.reports],
        }


def _finite(value: float) -> float | None:
    """Return the value, or None if it is not finite, which JSON cannot hold. A diverged training has such losses."""
    return value if math.isfinite(value) else None


def train_with_each_rho(
    data: Dataset, settings: TrainingSettings, *, eta: float, decay: float, seed: int, on_epoch: Callable[[int], None]
) -> list[Curve]:
    """Train with each of `RHOS` and λ = 0, all from the same initial weights, drawn from `seed`.

    `on_epoch` is called with the number of each finished epoch.
    """
    trials = [Hyperparameters(eta, 0.0, seed, rho, decay) for rho in RHOS]
    histories: list[list[Report]] = [[] for _ in trials]
    with threadpool_limits(1):
        for reports in train(trials, settings, data):
            for report in reports:
                histories[report.number].append(report)
            on_epoch(reports[0].epoch)
    return [Curve(trial.rho, tuple(history)) for trial, history in zip(trials, histories, strict=True)]


def write_figure(curves: list[Curve], title: str, path: Path) -> None:
    """Draw the training losses as an HTML file that opens offline."""
    import plotly.graph_objects as go  # noqa: PLC0415 - takes half a second to import

    figure = go.Figure(layout={"title": title, "template": "plotly_white"})
    for curve in curves:
        epochs = [report.epoch for report in curve.reports]
        losses = [report.train_loss for report in curve.reports]
        figure.add_scatter(x=epochs, y=losses, mode="lines", name=f"ρ = {curve.rho:g}")
    figure.update_xaxes(title="epoch")
    figure.update_yaxes(title="training loss", type="log")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(figure.to_html(include_plotlyjs=True), "utf-8")
