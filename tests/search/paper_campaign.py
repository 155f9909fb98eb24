"""A storage that holds the `paper` campaign, its trials trained by nobody: values are drawn, all else is real."""

import numpy as np
from optuna.trial import TrialState

from search.campaign import Campaign
from search.database import locate
from search.slot import Record
from search.status import Curves, Final
from search.storage import make_storage
from search.study import find_studies, open_study

ATTRS = {
    "data": {"digest": "0" * 64, "description": "CIFAR-10, 20,000/1,000/10,000 images for training, validation, test"},
    "versions": {"coarsefine": "0.1.0", "numpy": "2.4.6", "scipy": "1.17.1"},
}
FINAL = Final(
    epochs=30, train_accuracy=0.6663, validation_accuracy=0.506, test_accuracy=0.4837, seconds=11.4,
    weights="trained/paper.npz", repeated=True, ended="2026-01-01T00:00:00+00:00",
    curves=Curves((1.7,) * 30, (1.6,) * 30, (0.5,) * 30),
)  # fmt: skip


def make_paper(path):
    """Write the preset into a SQLite file, its stages and its final training done."""
    campaign = Campaign.load("paper")
    rng = np.random.default_rng(1)
    storage = make_storage(locate(path))
    for stage in campaign.stage:
        open_study(storage, campaign, stage, None, {"config": campaign.fingerprint(), **ATTRS})
        study = find_studies(storage, campaign.name)[campaign.study_name(stage)]
        claims = storage.claim(study.id, stage.trials)
        storage.record([_record(claim, campaign.epochs_of(stage), rng) for claim in claims], claims)
    storage.set_study_attrs(study.id, {"final": FINAL.as_attr()})
    storage.close()


def _record(claim, epochs, rng):
    values = {epoch: rng.integers(300, 511) / 1000 for epoch in range(1, epochs + 1)}
    losses = {"train_loss": [2.0 / epoch for epoch in values], "validation_loss": [2.1 / epoch for epoch in values]}
    return Record(claim, values, values[epochs], losses, TrialState.COMPLETE)
