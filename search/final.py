"""The final training: the winner's setting for many epochs, measured once on the test images."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from threadpoolctl import threadpool_limits

from model import Hyperparameters, Network, Report, Training, evaluate
from model.datasets import Dataset
from search.campaign import Campaign
from search.database import disk_errors
from search.errors import Interrupted, NothingCompleted
from search.status import Curves, Final, Winner


def train_winner(
    campaign: Campaign, winner: Winner, recorded: list[float], data: Dataset, weights: Path,
    told: Callable[[Report], None], stop: Callable[[], bool],
) -> Final:  # fmt: skip
    """Train the winner from its own seed, save the network to `weights`, and measure it on all three parts.

    The same seed and order make the first epochs those of the winning trial: they are compared with the `recorded`
    validation accuracies, which shows that the search's value can be had again.

    Raises `NothingCompleted` where the training diverges, `Interrupted` when asked to stop, `StorageError` where
    the weights cannot be written.
    """
    started = time.monotonic()
    training = _start(campaign, winner, data)
    reports: list[Report] = []
    with threadpool_limits(1):
        while training.epoch < campaign.final.epochs:
            (report,) = training.run_epoch()
            told(report)
            if report.diverged:
                raise NothingCompleted(
                    f"The final training {report.divergence}. Lower the upper bound of eta, or [final] epochs, "
                    "and start under another name."
                )
            reports.append(report)
            if stop():
                raise Interrupted("Stopped within the final training.")
        train, validation, test = (
            evaluate(training.theta, part)[0] for part in (data.train, data.validation, data.test)
        )
    with disk_errors(weights):
        Network.of(training.theta, 0, data).save(weights)
    curves = Curves.of(reports)
    common = min(len(recorded), len(reports))
    return Final(
        epochs=campaign.final.epochs,
        train_accuracy=train.accuracy,
        validation_accuracy=validation.accuracy,
        test_accuracy=test.accuracy,
        seconds=round(time.monotonic() - started, 3),
        weights=str(weights),
        repeated=list(curves.validation_accuracy[:common]) == recorded[:common],
        ended=datetime.now(UTC).isoformat(),
        curves=curves,
    )


def _start(campaign: Campaign, winner: Winner, data: Dataset) -> Training:
    stage = next(s for s in campaign.stage if s.name == winner.stage)
    trial = winner.trial
    setting = Hyperparameters(trial.eta, trial.lam, trial.seed, campaign.model.rho, campaign.model.decay)
    return Training.start([setting], campaign.settings(stage).for_epochs(campaign.final.epochs), data)
