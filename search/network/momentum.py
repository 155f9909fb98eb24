"""The momentum study (the paper's Figure 1): one network, trained with several ρ as one stack."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from coarsefine.model import Hyperparameters, Report, train
from coarsefine.model.datasets import Dataset
from coarsefine.search.campaign.json_form import finite_or_none
from coarsefine.search.campaign.schema import Model
from coarsefine.search.storage.error_messages import disk_errors

RHOS = (0.0, 0.5, 0.9, 0.99)


def study_momentum(
    model: Model, data: Dataset, *, eta: float, epochs: int, seed: int, on_epoch: Callable[[int], None]
) -> dict[str, Any]:
    """Train a network with each of `RHOS` and λ = 0, all from the same initial weights, and return the JSON form.

    Accuracies are fractions of the validation images. `on_epoch` is called with the number of each finished epoch.
    """
    trials = [Hyperparameters(eta, 0.0, seed, rho, model.decay) for rho in RHOS]
    histories: list[list[Report]] = [[] for _ in trials]
    with threadpool_limits(1):
        for reports in train(trials, model.training_settings(epochs, seed), data):
            for report in reports:
                histories[report.number].append(report)
            on_epoch(reports[0].epoch)
    return {
        "dataset": data.name,
        "hidden": model.hidden,
        "batch": model.batch,
        "decay": model.decay,
        "eta": eta,
        "lambda": 0.0,
        "epochs": epochs,
        "seed": seed,
        "curves": [_curve(rho, history) for rho, history in zip(RHOS, histories, strict=True)],
    }


def write_figure(study: Mapping[str, Any], path: Path) -> None:
    """Draw a study's training losses as an HTML file that opens offline."""
    import plotly.graph_objects as go  # noqa: PLC0415 - takes half a second to import

    title = f"Momentum on {study['dataset']}: η = {study['eta']:g}, λ = 0, decay {study['decay']:g}"
    figure = go.Figure(layout={"title": title, "template": "plotly_white"})
    for curve in study["curves"]:
        losses = curve["train_losses"]
        epochs = list(range(1, len(losses) + 1))
        figure.add_scatter(x=epochs, y=losses, mode="lines", name=f"ρ = {curve['rho']:g}")
    figure.update_xaxes(title="epoch")
    figure.update_yaxes(title="training loss", type="log")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(figure.to_html(include_plotlyjs=True), "utf-8")


def _curve(rho: float, reports: Sequence[Report]) -> dict[str, Any]:
    last = reports[-1]
    return {
        "rho": rho,
        "epochs": last.epoch,
        "train_loss": finite_or_none(last.train_loss),
        "validation_loss": finite_or_none(last.validation.loss),
        "validation_accuracy": last.validation.accuracy,
        "best_validation_accuracy": max(report.validation.accuracy for report in reports),
        "diverged": last.diverged,
        "train_losses": [finite_or_none(report.train_loss) for report in reports],
        "validation_losses": [finite_or_none(report.validation.loss) for report in reports],
        "validation_accuracies": [report.validation.accuracy for report in reports],
    }
