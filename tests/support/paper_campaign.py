"""Write a storage with the `paper` campaign, whose values are drawn at random instead of trained."""

import numpy as np
from optuna.trial import TrialState

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.results.campaign_studies import find_studies
from coarsefine.search.results.final_result import Curves, FinalResult, Reproduction
from coarsefine.search.results.stage_opening import open_study
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import create_storage
from coarsefine.search.storage.slots import Record

ATTRS = {
    "data": {"digest": "0" * 64, "description": "CIFAR-10, 20,000/1,000/10,000 images for training, validation, test"},
    "versions": {"coarsefine": "0.1.0", "numpy": "2.4.6", "scipy": "1.17.1"},
}
FINAL = FinalResult(
    study="paper/second-fine", number=3, params={"eta": 0.02, "lambda": 0.001}, epochs=30, seeds=(7,), decay=0.95,
    on_validation=False, images=(20_000, 1000, 10_000), train_accuracies=(0.6663,), validation_accuracies=(0.506,),
    test_accuracies=(0.4837,), ensemble_accuracy=0.4837, reproduction=Reproduction(exact=True, difference=0, like=True),
    export="0" * 64, folder="trained/paper", made_by="nobody", seconds=11.4, ended="2026-01-01T00:00:00+00:00",
    curves=Curves((1.7,) * 30, (1.6,) * 30, (0.5,) * 30),
)  # fmt: skip


def make_paper(path):
    """Write the preset into a SQLite file, with its stages and its final training finished."""
    campaign = Campaign.load("paper")
    rng = np.random.default_rng(1)
    storage = create_storage(locate(path))
    for stage in campaign.stage:
        open_study(storage, campaign, stage, None, {"config": campaign.as_stored(), **ATTRS})
        study = find_studies(storage, campaign.name)[campaign.study_name(stage)]
        claims = storage.queue.claim(study.id, stage.trials)
        storage.queue.record([_record(claim, campaign.epochs_of(stage), rng) for claim in claims], claims)
    storage.set_study_attrs(study.id, {"final": FINAL.as_attr()})
    storage.close()


def _record(claim, epochs, rng):
    values = {epoch: rng.integers(300, 511) / 1000 for epoch in range(1, epochs + 1)}
    losses = {"train_loss": [2.0 / epoch for epoch in values], "validation_loss": [2.1 / epoch for epoch in values]}
    return Record(claim, values, values[epochs], losses, TrialState.COMPLETE)
