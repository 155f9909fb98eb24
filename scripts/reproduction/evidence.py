"""Measure Table 1, Figure 1, and the settings that the report names: each for one seed, as JSON."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from threadpoolctl import threadpool_limits

from coarsefine import Campaign
from coarsefine.model import Evaluation, Training, evaluate
from coarsefine.model.datasets import Dataset
from coarsefine.model.hyperparameters import Order
from coarsefine.search.network.recorded_checks import check_gradients, study_momentum
from coarsefine.search.report.published_values import PublishedValues, published_values_for
from coarsefine.search.training.images import load_images
from reproduction.plan import ETA, Plan

_IMAGES, _SAMPLE, _QUICK_SAMPLE = 20, 1000, 50
"""Gradient check: images in the cost, and coordinates of each tensor."""


@dataclass(frozen=True, slots=True)
class Variation:
    """A way in which the report's code may have differed from ours; the report does not say."""

    order: Order
    spread: float | None
    """Standard deviation of the initial weights; None for 1/√fan-in."""
    words: str


AS_OURS = "as-ours"
VARIATIONS = {
    AS_OURS: Variation("shuffled", None, "as here"),
    "fixed-order": Variation("fixed", None, "mini-batches in the order of the files"),
    "small-weights": Variation("shuffled", 0.001, "initial weights from N(0, 0.001)"),
    "both": Variation("fixed", 0.001, "both of these"),
}


@dataclass(frozen=True, slots=True)
class Named:
    """A setting whose loss curve the report shows."""

    where: str
    eta: float
    lam: float
    epochs: int
    searched: float | None
    """The validation accuracy that the report states for its search; None for the final training."""


def the_report() -> PublishedValues:
    """Return the report's numbers."""
    found = published_values_for(Campaign.load("paper"))
    assert found is not None, "the preset `paper` is the report's"  # noqa: S101
    return found


def named_settings() -> list[Named]:
    """Return the settings of the report's Figures 2 to 8, with the epochs in their captions."""
    report = the_report()
    searched = [
        Named(best["where"], best["eta"], best["lambda"], stage["figure_epochs"], best["accuracy"])
        for stage in report.stage
        if "figure_epochs" in stage
        for best in stage["best"]
    ]
    final = report.final
    return [*searched, Named("Figure 8", final["eta"], final["lambda"], final["epochs"], None)]


def images_of(plan: Plan) -> Dataset:
    """Return the images that all measurements use."""
    return load_images(plan.data, plan.source, lambda _: None)


def check(plan: Plan, seed: int) -> dict[str, Any]:
    """Compare analytic and numerical gradients."""
    sample = _QUICK_SAMPLE if plan.quick else _SAMPLE
    with threadpool_limits(1):
        return check_gradients(plan.model, images_of(plan), images=_IMAGES, sample=sample, seed=seed)


def momentum(plan: Plan, seed: int) -> dict[str, Any]:
    """Train with each ρ."""
    epochs = plan.epochs(the_report().momentum["epochs"])
    return study_momentum(plan.model, images_of(plan), eta=ETA, epochs=epochs, seed=seed, on_epoch=lambda _: None)


def settings(plan: Plan, seed: int, variation: str) -> dict[str, Any]:
    """Train the settings that the report names; settings with the same number of epochs train together."""
    named, data = named_settings(), images_of(plan)
    groups = [[n for n in named if n.epochs == epochs] for epochs in sorted({n.epochs for n in named})]
    with threadpool_limits(1):
        curves = [curve for group in groups for curve in _train(plan, group, VARIATIONS[variation], seed, data)]
    return {"variation": variation, "seed": seed, "curves": curves}


def _train(plan: Plan, group: Sequence[Named], way: Variation, seed: int, data: Dataset) -> list[dict[str, Any]]:
    model = plan.model
    trials = [model.hyperparameters({"eta": n.eta, "lambda": n.lam}, seed) for n in group]
    epochs = plan.epochs(group[0].epochs)
    chosen = replace(model.training_settings(epochs, seed), order=way.order)
    training = Training.start(trials, chosen, data)
    if way.spread is not None:
        _draw_smaller(training, way.spread)
    reports = [training.run_epoch() for _ in range(epochs)]
    ends = [evaluate(training.theta, part) for part in (data.train, data.test)]
    return [
        {
            "where": n.where,
            "train_losses": [r[lane].train_loss for r in reports],
            "validation_losses": [r[lane].validation.loss for r in reports],
            "validation_accuracies": [r[lane].validation.accuracy for r in reports],
            # The report measures only its final setting on the test images, and so do we.
            **(_ends(*(end[lane] for end in ends)) if n.searched is None else {}),
        }
        for lane, n in enumerate(group)
    ]


def _ends(train: Evaluation, test: Evaluation) -> dict[str, float]:
    return {"train_accuracy": train.accuracy, "test_accuracy": test.accuracy}


def _draw_smaller(training: Training, spread: float) -> None:
    """Rescale the initial weights from the standard deviation 1/√fan-in to another one."""
    theta = training.theta
    theta.W1[...] *= theta.W1.dtype.type(spread * math.sqrt(theta.W1.shape[-1]))
    theta.W2[...] *= theta.W2.dtype.type(spread * math.sqrt(theta.W2.shape[-1]))
    training.previous = theta.copy()
