"""Make the campaigns to be read: real studies whose finished trials were recorded through the queue, not trained."""

import random
from pathlib import Path

from optuna.trial import TrialState

from coarsefine import Campaign
from coarsefine.model.datasets import Dataset
from coarsefine.search.campaign.sections import Data
from coarsefine.search.results.campaign_studies import find_studies
from coarsefine.search.results.stage_opening import open_study
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import create_storage
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.slots import Claim, Record
from coarsefine.search.training.identity import fingerprint
from coarsefine.search.training.images import load_images

EPOCHS = 15
_LONG = 100
"""Epochs of the stage that workers train: it must outlast the measurement."""
_AT_ONCE = 500
_DIVERGED = 0.05
"""Fraction of the finished trials that diverged."""


def campaign_of(name: str, trials: list[int]) -> Campaign:
    """Return a campaign with these trials per stage; each stage narrows from the previous one, and the last is long."""
    stages = [
        {"name": f"stage-{place}", "trials": count, "stack": 12, "epochs": EPOCHS if place < len(trials) - 1 else _LONG}
        | ({"narrow": {"top": 8}} if place else {"eta": [0.001, 1.0], "lambda": [1e-7, 0.1]})
        for place, count in enumerate(trials)
    ]
    model = {"hidden": 200, "batch": 5, "epochs": EPOCHS}
    return Campaign.model_validate({"name": name, "data": {"dataset": "digits"}, "model": model, "stage": stages})


def make_studies(path: Path, campaign: Campaign, ended: int) -> None:
    """Write the campaign's studies: the first `ended` stages are finished, and the next one, if any, is open."""
    images = load_images(Data(dataset="digits"), None, lambda _: None)
    storage = create_storage(locate(path))
    try:
        for place, _ in enumerate(campaign.stage[: ended + 1]):
            _open(storage, campaign, place, images)
            if place < ended:
                _end(storage, campaign, place)
    finally:
        storage.close()


def _open(storage: Storage, campaign: Campaign, place: int, images: Dataset) -> None:
    stage, studies = campaign.stage[place], find_studies(storage, campaign.name)
    parent = campaign.parent_of(stage)
    opened = studies[campaign.study_name(parent)] if parent else None
    open_study(storage, campaign, stage, opened, fingerprint(campaign, images))


def _end(storage: Storage, campaign: Campaign, place: int) -> None:
    study = find_studies(storage, campaign.name)[campaign.study_name(campaign.stage[place])]
    drawn = random.Random(place)  # noqa: S311
    while claims := storage.queue.claim(study.id, _AT_ONCE):
        storage.queue.record([_record(claim, drawn) for claim in claims], claims)


def _record(claim: Claim, drawn: random.Random) -> Record:
    """Return a worker's record of a whole trial: fifteen epochs of a rising curve, or one that diverged."""
    if drawn.random() < _DIVERGED:
        attrs = {"train_loss": [2.3, None], "validation_loss": [2.4, None], "reason": "diverged in epoch 2"}
        return Record(claim, {1: 0.1}, None, attrs, TrialState.FAIL)
    best = drawn.uniform(0.3, 0.99)
    values = {epoch: best * (1 - 0.6 / epoch) for epoch in range(1, EPOCHS + 1)}
    losses = [round(3 * (1 - value), 6) for value in values.values()]
    attrs = {"train_loss": losses, "validation_loss": [loss + 0.05 for loss in losses]}
    return Record(claim, values, values[EPOCHS], attrs, TrialState.COMPLETE)
