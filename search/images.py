"""A campaign's images: from where the user keeps them to the split that trials train on."""

import os
from collections.abc import Callable
from pathlib import Path

from model.datasets import Dataset, load_cifar10, load_digits
from search.campaign import Data
from search.errors import CampaignError, UsageError

VARIABLE = "COARSEFINE_DATA"


def load_images(wanted: Data, source: Path | None, say: Callable[[str], None]) -> Dataset:
    """Return the data of a campaign; CIFAR-10 from `source`, else `COARSEFINE_DATA`, else downloaded.

    Raises `model.errors.DataError`, or `UsageError` for a source that the campaign has no use for.
    """
    if wanted.dataset == "digits":
        if source is not None:
            raise UsageError(f"The digits come with scikit-learn: --data {source} is not used. Leave it out.")
        return load_digits()
    kept = os.environ.get(VARIABLE)
    return load_cifar10(source or (Path(kept) if kept else None), wanted.selection(), say=say)


def check_batch(batch: int, data: Dataset) -> None:
    """Raise `CampaignError` for a mini-batch that the training images cannot fill."""
    images = len(data.train.y)
    if batch > images:
        raise CampaignError(
            f"[model] batch = {batch} is larger than the {images} training images of {data.name}: make it smaller."
        )
