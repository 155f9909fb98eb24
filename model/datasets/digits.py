"""Handwritten digits that ship with scikit-learn: 1,797 scanned images of 8×8 pixels (UCI, CC BY 4.0)."""

from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import model_validator

from coarsefine.model.datasets.cache import cached, key_of
from coarsefine.model.datasets.cifar10 import Selection
from coarsefine.model.datasets.kinds import DatasetKind, Say
from coarsefine.model.datasets.split import Dataset, Images, Raw, normalise

_TRAIN, _VALIDATION = 1197, 300
_SPLIT_SEED = 0


def load_digits(*, cache: Path | None = None, say: Say = lambda _: None) -> Dataset:
    """Return 1,197 digits for training, 300 for validation and 300 for testing.

    The split is a fixed permutation, since the file is sorted by writer. With a `cache` folder the images are kept
    there, which spares later processes the import of scikit-learn.
    """
    return cached(lambda: key_of("digits", sklearn=version("scikit-learn"), split=_SPLIT_SEED), _make, cache, say)


def _make() -> Dataset:
    from sklearn import datasets  # noqa: PLC0415 - takes a second to import, only needed here

    bunch = datasets.load_digits()
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(bunch.target))
    pixels, labels = bunch.data[order].astype(np.uint8), bunch.target[order].astype(np.uint8)
    cuts = [_TRAIN, _TRAIN + _VALIDATION]
    parts = [Images(p, y) for p, y in zip(np.split(pixels, cuts), np.split(labels, cuts), strict=True)]
    raw = Raw("digits", tuple("0123456789"), (8, 8), 16.0, *parts)
    return normalise(raw, {"split seed": _SPLIT_SEED})


class _Unused(Selection):
    """No options: CIFAR-10's, unchanged, because the first version stored them with every campaign.

    A campaign resumes only if it is stored as it was.
    """

    @model_validator(mode="after")
    def _check_unchanged(self) -> Self:
        for name, field in type(self).model_fields.items():
            if getattr(self, name) != field.default:
                raise ValueError(f'{name} needs dataset = "cifar10": the digits have a fixed split')
        return self


def _load(_options: Any, _source: Path | None, say: Say, cache: Path | None) -> Dataset:
    return load_digits(cache=cache, say=say)


DIGITS = DatasetKind(title="8×8 handwritten digits", load=_load, options=_Unused)
