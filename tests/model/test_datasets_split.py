"""Test the common form of all datasets: their normalisation and their digest."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from coarsefine.model.datasets import Dataset, Images
from coarsefine.model.datasets.split import Raw, normalise

SCALE = 255.0
CHOSEN: dict[str, Any] = {"train": ["first", "third"], "test": "last"}
SIZES = {"train": 7, "validation": 3, "test": 5}
PARTS = tuple(SIZES)


def images(n: int, seed: int) -> Images:
    rng = np.random.default_rng(seed)
    return Images(rng.integers(0, 256, (n, 6), dtype=np.uint8), rng.integers(0, 3, n, dtype=np.uint8))


@pytest.fixture
def raw() -> Raw:
    parts = {part: images(n, seed) for seed, (part, n) in enumerate(SIZES.items())}
    return Raw("noise", ("a", "b", "c"), (2, 3), SCALE, **parts)


def digest(raw: Raw, chosen: dict[str, Any] = CHOSEN) -> str:
    return normalise(raw, chosen).digest


def test_images_are_scaled_and_centred(raw: Raw) -> None:
    """Every part is pixels/scale − mean of the training part, not divided by a standard deviation."""
    dataset = normalise(raw, CHOSEN)
    mean = raw.train.pixels.mean(axis=0) / SCALE
    np.testing.assert_allclose(dataset.mean, mean, rtol=1e-6)
    for part in PARTS:
        expected = getattr(raw, part).pixels / SCALE - mean
        np.testing.assert_allclose(getattr(dataset, part).x, expected, atol=2e-7)
        np.testing.assert_array_equal(getattr(dataset, part).y, getattr(raw, part).labels)


def test_normalisation_keeps_names_and_input(raw: Raw) -> None:
    """Name, classes, shape and scale are kept, and the input pixels are not changed."""
    before = raw.train.pixels.copy()
    dataset = normalise(raw, CHOSEN)
    assert (dataset.name, dataset.classes, dataset.shape, dataset.scale) == ("noise", ("a", "b", "c"), (2, 3), SCALE)
    np.testing.assert_array_equal(raw.train.pixels, before)


@pytest.mark.parametrize("order", ["C", "F"])
def test_types(raw: Raw, order: Any) -> None:
    """Images are float32 in C order and labels int64, whatever the memory order of the pixels."""
    dataset = normalise(replace(raw, train=Images(raw.train.pixels.copy(order), raw.train.labels)), CHOSEN)
    for part in (dataset.train, dataset.validation, dataset.test):
        assert (part.x.dtype, part.y.dtype) == (np.float32, np.int64)
        assert part.x.flags.c_contiguous
    assert dataset.mean.dtype == np.float32


def test_mean_of_many_images_is_exact() -> None:
    """The mean of 100,000 images of one colour is exactly that colour."""
    many = Images(np.full((100_000, 2), 201, np.uint8), np.zeros(100_000, np.uint8))
    dataset = normalise(Raw("grey", ("a",), (2,), SCALE, many, many[:1], many[:1]), {})
    np.testing.assert_array_equal(dataset.mean, np.float32(201 / SCALE))


@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 8))), st.sampled_from([1.0, 16.0, SCALE]))
def test_pixels_can_be_restored(pixels: np.ndarray, scale: float) -> None:
    """(x + mean)·scale, rounded, is the input pixels for any input."""
    part = Images(pixels, np.zeros(len(pixels), np.uint8))
    dataset = normalise(Raw("any", ("a",), pixels.shape[1:], scale, part, part, part), {})
    np.testing.assert_array_equal(np.rint((dataset.test.x + dataset.mean) * scale), pixels)


def test_digest_is_a_reproducible_sha256(raw: Raw) -> None:
    """The digest has 64 hexadecimal digits, and is equal for equal images."""
    assert len(bytes.fromhex(digest(raw))) == 32
    assert digest(raw) == digest(replace(raw, train=images(SIZES["train"], 0)))


def test_digest_ignores_the_memory_layout(raw: Raw) -> None:
    """Rows that are slices of wider records, or in Fortran order, have the digest of their copies."""
    wide = np.column_stack([raw.train.labels, raw.train.pixels])
    for pixels in (wide[:, 1:], np.asfortranarray(raw.train.pixels)):
        assert not pixels.flags.c_contiguous
        assert digest(replace(raw, train=Images(pixels, wide[:, 0]))) == digest(raw)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("what", ["pixels", "labels"])
def test_digest_changes_with_every_byte(raw: Raw, part: str, what: str) -> None:
    """A change of the last pixel or label of any part by one gives another digest."""
    was = getattr(raw, part)
    changed = getattr(was, what).copy()
    changed.flat[-1] ^= 1
    assert digest(replace(raw, **{part: replace(was, **{what: changed})})) != digest(raw)


def test_digest_depends_on_the_parts(raw: Raw) -> None:
    """The same images in other parts or in another order give another digest."""
    train = raw.train
    others = [
        replace(raw, validation=raw.test, test=raw.validation),
        replace(raw, train=Images(train.pixels[::-1], train.labels[::-1])),
        replace(raw, train=train[:6]),
    ]
    assert len({digest(other) for other in [raw, *others]}) == 4


def test_digest_depends_on_the_description(raw: Raw) -> None:
    """Another name, shape or choice of parts gives another digest."""
    others = [digest(replace(raw, name="other")), digest(replace(raw, shape=(3, 2))), digest(raw, {"test": "first"})]
    assert len({digest(raw), *others}) == 4


def test_description(raw: Raw) -> None:
    """The description gives the number of images of each part, and how they were chosen."""
    expected = "noise, 7/3/5 images for training, validation, test (train first+third, test last)"
    assert normalise(raw, CHOSEN).description == expected


def test_batches_are_joined_in_order() -> None:
    """Joined images and their labels keep their order; the first n are the first n."""
    a, b = images(4, 1), images(2, 2)
    joined = Images.join([a, b])
    for what in ("pixels", "labels"):
        np.testing.assert_array_equal(getattr(joined, what)[:4], getattr(a, what))
        np.testing.assert_array_equal(getattr(joined, what)[4:], getattr(b, what))
        np.testing.assert_array_equal(getattr(joined[:4], what), getattr(a, what))


def test_dataset_is_immutable(raw: Raw) -> None:
    """A dataset and its parts are values: setting a field raises an error."""
    dataset: Dataset = normalise(raw, CHOSEN)
    for value, name in ((dataset, "digest"), (dataset.train, "x"), (raw.train, "pixels")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)
