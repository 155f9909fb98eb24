import numpy as np
import pytest

from coarsefine.model import TrainingSettings
from coarsefine.model.datasets import Part
from coarsefine.model.epoch import Epoch, image_order, mirrored_images


def test_order_is_shuffled_each_epoch_or_fixed():
    """A shuffled order depends on seed and epoch alone; the fixed order is that of the data."""
    shuffled = TrainingSettings(order_seed=3)
    first, second = image_order(1000, shuffled, 1), image_order(1000, shuffled, 2)
    assert sorted(first) == list(range(1000))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, image_order(1000, TrainingSettings(order_seed=3), 1))
    assert np.array_equal(image_order(5, TrainingSettings(order="fixed"), 2), [0, 1, 2, 3, 4])


@pytest.mark.parametrize("shape", [(8, 8), (5, 7), (28, 28), (1, 28, 28), (3, 17, 23), (3, 32, 32)])
def test_images_of_any_shape_are_mirrored(shape):
    """Mirroring reverses the rows of every colour of the chosen images and leaves the others, for any width."""
    images = np.arange(40 * np.prod(shape), dtype=np.float32).reshape(40, *shape)
    settings = TrainingSettings(batch=7, order_seed=1, mirror=True)
    epoch = Epoch.draw(Part(images.reshape(40, -1), np.arange(40)), settings, 1, shape)
    seen = {label: image for x, y in epoch.mini_batches(np.float32) for image, label in zip(x, y, strict=True)}
    mirrored = mirrored_images(40, settings, 1)
    assert sorted(seen) == list(range(40))
    for place, image in seen.items():
        expected = images[place][..., ::-1] if mirrored[place] else images[place]
        np.testing.assert_array_equal(image.reshape(shape), expected)


def test_features_are_not_mirrored():
    """An array of features without rows of pixels is refused."""
    part = Part(np.zeros((2, 6), np.float32), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="6 features have no left and right"):
        Epoch.draw(part, TrainingSettings(mirror=True), 1, (6,))


def test_half_of_the_images_are_mirrored_in_each_epoch():
    """The choice of mirrored images depends on seed and epoch alone, and does not change their order."""
    mirroring = TrainingSettings(order_seed=3, mirror=True)
    first, second = mirrored_images(1000, mirroring, 1), mirrored_images(1000, mirroring, 2)
    assert 400 < first.sum() < 600
    assert 400 < (first != second).sum() < 600
    assert np.array_equal(first, mirrored_images(1000, TrainingSettings(order_seed=3, mirror=True), 1))
    assert not mirrored_images(1000, TrainingSettings(order_seed=3), 1).any()
    assert np.array_equal(image_order(1000, mirroring, 1), image_order(1000, TrainingSettings(order_seed=3), 1))
