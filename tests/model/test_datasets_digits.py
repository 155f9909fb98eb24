"""Test the digits: their split, their range, and their digest."""

import numpy as np
import pytest
from sklearn import datasets

from coarsefine.model.datasets import Dataset, load_digits

DIGEST = "d4c8c0036bb85b50d3d3c22f73f798d56aa8ccb9b6cd00f5e225da8ea73d33c8"


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_digits()


def pixels(digits: Dataset) -> list[np.ndarray]:
    """Return the three parts' pixels as they were before normalisation, (n, 64)."""
    parts = (digits.train, digits.validation, digits.test)
    return [np.rint((part.x + digits.mean) * digits.scale).astype(np.uint8) for part in parts]


def test_sizes(digits: Dataset) -> None:
    """The 1,797 digits are split 1,197/300/300, each with its label."""
    parts = (digits.train, digits.validation, digits.test)
    assert [part.x.shape for part in parts] == [(1197, 64), (300, 64), (300, 64)]
    assert [part.y.shape for part in parts] == [(1197,), (300,), (300,)]
    assert digits.shape == (8, 8)
    assert digits.classes == tuple("0123456789")


def test_types(digits: Dataset) -> None:
    """Images are float32 in C order and labels int64, as the trainer needs them."""
    for part in (digits.train, digits.validation, digits.test):
        assert part.x.dtype == np.float32
        assert part.x.flags.c_contiguous
        assert part.y.dtype == np.int64


def test_every_image_is_used_once(digits: Dataset) -> None:
    """The parts together contain each image of scikit-learn's file exactly once."""
    bunch = datasets.load_digits()
    labels = np.concatenate([part.y for part in (digits.train, digits.validation, digits.test)])
    ours = np.column_stack([np.concatenate(pixels(digits)), labels])
    theirs = np.column_stack([bunch.data, bunch.target])
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])
    assert len(np.unique(theirs, axis=0)) == len(theirs), "the file holds no image twice, so a shared one would show"


def test_range(digits: Dataset) -> None:
    """Pixels are scaled to 0…1 before the mean is subtracted, and every class is in every part."""
    for part in (digits.train, digits.validation, digits.test):
        scaled = part.x + digits.mean
        assert scaled.min() >= -1e-6
        assert scaled.max() == pytest.approx(1.0, abs=1e-6)
        assert set(part.y) == set(range(10))


def test_mean_is_of_the_training_part(digits: Dataset) -> None:
    """The mean is that of the training images alone, so that only they are centred."""
    train = pixels(digits)[0].astype(np.float64) / 16
    np.testing.assert_allclose(digits.mean, train.mean(axis=0), atol=1e-7)
    np.testing.assert_allclose(digits.train.x.mean(axis=0, dtype=np.float64), 0, atol=1e-6)
    assert np.abs(digits.validation.x.mean(axis=0)).max() > 1e-3


def test_digest(digits: Dataset) -> None:
    """The digest is that of the published split; another file or permutation would change it."""
    assert digits.digest == DIGEST


def test_description(digits: Dataset) -> None:
    """The description gives the number of images of each part, and how they were chosen."""
    assert digits.description == "digits, 1,197/300/300 images for training, validation, test (split seed 0)"
