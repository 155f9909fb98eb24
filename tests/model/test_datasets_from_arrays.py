"""Test datasets made from arrays: parts, classes and scale, and a DataError for arrays that make none."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coarsefine.model.datasets import Dataset
from coarsefine.model.errors import DataError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (60, 4, 5), dtype=np.uint8)
LABELS = np.arange(60) % 3


def refusal(*arrays: Any, **others: Any) -> str:
    """Return the message with which arrays are refused."""
    with pytest.raises(DataError) as error:
        Dataset.from_arrays(*arrays, **others)
    return str(error.value)


def pixels(data: Dataset) -> list[np.ndarray]:
    """Return the three parts' pixels as they were given."""
    return [np.rint((part.x + data.mean) * data.scale) for part in (data.train, data.validation, data.test)]


def test_parts_are_as_given() -> None:
    """Given parts keep their images and order, and are scaled and centred by the training images."""
    data = Dataset.from_arrays(
        GREY[:40],
        LABELS[:40],
        x_validation=GREY[40:52],
        y_validation=LABELS[40:52],
        x_test=GREY[52:],
        y_test=LABELS[52:],
    )
    assert (data.name, data.shape, data.classes, data.scale) == ("arrays", (4, 5), ("0", "1", "2"), 255.0)
    assert data.counts == (40, 12, 8)
    for found, expected in zip(pixels(data), (GREY[:40], GREY[40:52], GREY[52:]), strict=True):
        np.testing.assert_array_equal(found, expected.reshape(len(expected), 20))
    np.testing.assert_allclose(data.mean, GREY[:40].reshape(40, 20).mean(axis=0) / 255, rtol=1e-6)
    np.testing.assert_array_equal(data.validation.y, LABELS[40:52])
    assert data.description == "arrays, 40/12/8 images for training, validation, test (parts as given)"


def test_missing_parts_are_split_off() -> None:
    """15 % of each class validate and 15 % test; together the parts contain each image once."""
    data = Dataset.from_arrays(GREY, LABELS)
    assert data.counts == (42, 9, 9)
    for part, each in ((data.train, 14), (data.validation, 3), (data.test, 3)):
        assert np.bincount(part.y).tolist() == [each] * 3
    labels = np.concatenate([data.train.y, data.validation.y, data.test.y])
    rows = np.column_stack([np.concatenate(pixels(data)), labels])
    given_rows = np.column_stack([GREY.reshape(60, 20), LABELS])
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], given_rows[np.lexsort(given_rows.T)])
    assert "split off validation+test, split seed 0" in data.description


def test_given_test_images_are_not_split_off_again() -> None:
    """With test images given, only validation images are taken from the training images."""
    data = Dataset.from_arrays(GREY[:40], LABELS[:40], x_test=GREY[40:], y_test=LABELS[40:])
    assert data.counts == (34, 6, 20)
    np.testing.assert_array_equal(pixels(data)[2], GREY[40:].reshape(20, 20))


def test_equal_arrays_give_equal_datasets() -> None:
    """The split and the digest depend on the arrays alone, whatever their layout and their kind of integers."""
    first = Dataset.from_arrays(GREY, LABELS)
    again = Dataset.from_arrays(np.asfortranarray(GREY), LABELS.astype(np.uint8).tolist())
    assert again.digest == first.digest
    assert again.train.x.tobytes() == first.train.x.tobytes()
    assert again.test.y.tobytes() == first.test.y.tobytes()


def test_digest_does_not_depend_on_the_name() -> None:
    """The name appears in the description and not in the digest: a renamed dataset has the same images."""
    named = Dataset.from_arrays(GREY, LABELS, name="flowers")
    assert named.description.startswith("flowers, 42/9/9 images")
    assert named.digest == Dataset.from_arrays(GREY, LABELS).digest


def test_digest_depends_on_all_that_changes_a_result() -> None:
    """Another pixel, label, scale, type, shape or class name gives another digest."""
    other_pixel, other_label = GREY.copy(), LABELS.copy()
    other_pixel[7, 3, 4] ^= 1
    other_label[0] = 1
    datasets = [
        Dataset.from_arrays(GREY, LABELS),
        Dataset.from_arrays(other_pixel, LABELS),
        Dataset.from_arrays(GREY, other_label),
        Dataset.from_arrays(GREY, LABELS, scale=100),
        Dataset.from_arrays(GREY.astype(float), LABELS, scale=255),
        Dataset.from_arrays(GREY.reshape(60, 5, 4), LABELS),
        Dataset.from_arrays(GREY, LABELS, classes=["a", "b", "c"]),
        Dataset.from_arrays(GREY[:45], LABELS[:45], x_test=GREY[45:], y_test=LABELS[45:]),
    ]
    assert len({data.digest for data in datasets}) == len(datasets)


def test_colour_images_and_features_have_their_shapes() -> None:
    """Images may have one or three channels before their rows, and other features one axis."""
    colour = RNG.integers(0, 256, (60, 3, 4, 5), dtype=np.uint8)
    data = Dataset.from_arrays(colour, LABELS)
    assert data.shape == (3, 4, 5)
    np.testing.assert_array_equal(pixels(data)[0], colour.reshape(60, 60)[order_of(data, colour)])
    assert Dataset.from_arrays(GREY[:, None], LABELS).shape == (1, 4, 5)
    assert Dataset.from_arrays(GREY.reshape(60, 20), LABELS).shape == (20,)


def order_of(data: Dataset, images: np.ndarray) -> list[int]:
    """Return the places of the training images among all images."""
    places = {row.tobytes(): place for place, row in enumerate(images.reshape(len(images), -1).astype(float))}
    return [places[row.tobytes()] for row in pixels(data)[0].astype(float)]


def test_floats_are_used_as_they_are_or_scaled() -> None:
    """Floats are rounded to float32 and divided by the scale, 1 unless it is given."""
    x = RNG.standard_normal((60, 6))
    plain, scaled = Dataset.from_arrays(x, LABELS), Dataset.from_arrays(x * 8, LABELS, scale=8)
    assert (plain.scale, scaled.scale) == (1.0, 8.0)
    np.testing.assert_allclose(scaled.train.x, plain.train.x, atol=1e-6)
    np.testing.assert_allclose(plain.train.x.mean(axis=0), 0, atol=1e-6)


def test_names_are_labels() -> None:
    """Labels that are names become places among the sorted names, or among the classes given."""
    names = np.array(["cat", "dog", "bird"])[LABELS]
    data = Dataset.from_arrays(GREY, names)
    assert data.classes == ("bird", "cat", "dog")
    chosen = Dataset.from_arrays(GREY, names, classes=["dog", "bird", "cat"])
    assert [chosen.classes[label] for label in chosen.test.y] == [data.classes[label] for label in data.test.y]
    assert Dataset.from_arrays(GREY, LABELS, classes=["cat", "dog", "bird"]).classes == ("cat", "dog", "bird")


@given(st.lists(st.integers(0, 3), min_size=40, max_size=90))
def test_any_labels_are_split_by_class(labels: list[int]) -> None:
    """Whatever the labels, the parts contain each image once, and each class has training images."""
    labels = [*labels, 0, 1, 2, 3]
    data = Dataset.from_arrays(np.arange(len(labels), dtype=np.float32)[:, None] / len(labels), labels)
    x = np.concatenate([data.train.x, data.validation.x, data.test.x])[:, 0]
    assert len(np.unique(x)) == len(labels) == sum(data.counts)
    assert set(data.train.y) == {0, 1, 2, 3}


BAD = {
    "channels last": ((np.zeros((9, 4, 5, 3), np.uint8), LABELS[:9]), {}, r"x_train.transpose(0, 3, 1, 2) moves the"),
    "ten channels": ((np.zeros((9, 10, 5, 7), np.uint8), LABELS[:9]), {}, "x_train.reshape(n, -1) makes features"),
    "one axis": ((np.zeros(9, np.uint8), LABELS[:9]), {}, "x_train has the shape (9,), not (n, rows, columns)"),
    "five axes": ((np.zeros((9, 1, 1, 1, 1), np.uint8), LABELS[:9]), {}, "x_train has the shape (9, 1, 1, 1, 1), not"),
    "no images": ((GREY[:0], LABELS[:0]), {}, "x_train has the shape (0, 4, 5): it holds no image"),
    "integers": ((GREY.astype(int), LABELS), {}, "x_train is an array of int64: make it uint8 for pixels of 0 to 255"),
    "texts": ((GREY.astype(str), LABELS), {}, "x_train is an array of <U"),
    "unequal rows": (([[1.0], [1.0, 2.0]], [0, 1]), {}, "x_train is not an array: "),
    "NaN": ((np.where(GREY[2, 1, 3] == GREY, np.nan, 0.5), LABELS), {}, "x_train holds NaN or a number too large for"),
    "too large": ((np.full((9, 2), 1e39), LABELS[:9]), {}, "a number too large for float32, at (0, 0)"),
    "unscaled": ((GREY.astype(float), LABELS), {}, "x_train holds numbers up to ±255: give a scale"),
    "scale of zero": ((GREY, LABELS), {"scale": 0}, "scale = 0 must be a number above 0"),
    "infinite scale": ((GREY, LABELS), {"scale": float("inf")}, "scale = inf must be"),
    "scale as text": ((GREY, LABELS), {"scale": "255"}, "scale = '255' must be"),
    "counts": ((GREY, LABELS[:-1]), {}, "x_train has 60 images, and y_train 59 labels"),
    "labels in a column": ((GREY, LABELS[:, None]), {}, "y_train has the shape (60, 1), not (n,)"),
    "labels as floats": ((GREY, LABELS.astype(float)), {}, "y_train is an array of float64: labels are whole numbers"),
    "truth values": ((GREY, LABELS > 1), {}, "y_train is an array of bool"),
    "negative label": ((GREY, LABELS - 1), {}, "y_train has the label -1 at 0, which is not a class (classes: 0 to 1)"),
    "label without a name": (
        (GREY, LABELS),
        {"classes": ["a", "b"]},
        "y_train has the label 2 at 2, which is not a class",
    ),
    "unknown name": (
        (GREY, ["a"] * 59 + ["c"]),
        {"classes": ["a", "b"]},
        "label 'c' at 59, which is not a class (classes: a",
    ),
    "class that is missing": ((GREY, LABELS * 2), {}, "y_train has no image of the class '1' to train on"),
    "name that is missing": ((GREY, LABELS), {"classes": list("abcd")}, "no image of the class 'd' to train on"),
    "one class": ((GREY, LABELS * 0), {}, "The number of classes in y_train is 1: it must be 2 to 1,000"),
    "numbers as classes": ((GREY, LABELS * 700), {}, "The number of classes in y_train is more than 1,000"),
    "a class twice": ((GREY, LABELS), {"classes": ["a", "b", "a"]}, "The class 'a' must be a name of its own"),
    "too few": ((GREY[:6], LABELS[:6]), {}, "x_train has 6 images, too few to split off validation images"),
    "empty name": ((GREY, LABELS), {"name": " "}, "The name ' ' of the images must be 1 to 64 letters"),
    "labels missing": ((GREY, LABELS), {"x_test": GREY}, "There is x_test without y_test: give both, or neither"),
    "images missing": ((GREY, LABELS), {"y_validation": LABELS}, "There is y_validation without x_validation"),
    "another size": (
        (GREY, LABELS),
        {"x_test": GREY[:, 1:], "y_test": LABELS},
        "x_test holds images of (3, 5) uint8, and x_train of (4, 5) uint8: all parts must be alike",
    ),
    "another type": ((GREY, LABELS), {"x_test": GREY / 255, "y_test": LABELS}, "x_test holds images of (4, 5) float32"),
    "label not trained on": ((GREY, LABELS), {"x_test": GREY, "y_test": LABELS + 1}, "y_test has the label 3 at 2"),
    "other labels": (
        (GREY, LABELS),
        {"x_test": GREY, "y_test": ["a"] * 60},
        "y_test is an array of <U1, and y_train of",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_refused(case: str) -> None:
    """The message names the array, what is wrong with it, and the remedy."""
    arrays, others, message = BAD[case]
    assert message in refusal(*arrays, **others)
