"""One epoch of training data: its mini-batches, and every trial's rates."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coarsefine.model.datasets import Part
from coarsefine.model.hyperparameters import TrainingSettings
from coarsefine.model.network import Floats, Labels

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Rates:
    """η, λ and ρ of every trial in one epoch, each (T,), float64."""

    eta: Floats
    lam: Floats
    rho: Floats


@dataclass(frozen=True, slots=True)
class Epoch:
    """The images of an epoch in the order in which a stack sees them."""

    part: Part
    order: npt.NDArray[np.int64]
    """Place of each image (n,) in `part`."""
    mirrored: npt.NDArray[np.bool_] | None
    """Whether the image at each place (n,) of the order is mirrored left to right; None if none is."""
    row: int
    """Pixels in a row of an image."""
    batch: int
    """Images in a mini-batch; the last one may have fewer."""

    @classmethod
    def draw(cls, part: Part, settings: TrainingSettings, epoch: int, shape: tuple[int, ...]) -> "Epoch":
        """Draw the order and the mirrored images of an epoch, counted from 1, from the settings' seed.

        `shape` is that of one image, with rows of pixels along its last axis. Raises `ValueError` if images without
        rows are to be mirrored.
        """
        if settings.mirror and len(shape) == 1:
            raise ValueError(f"{shape[0]} features have no left and right")
        order, mirrored = image_order(len(part.y), settings, epoch), mirrored_images(len(part.y), settings, epoch)
        return cls(part, order, mirrored[order] if settings.mirror else None, shape[-1], settings.batch)

    def mini_batches(self, dtype: npt.DTypeLike) -> Iterator[tuple[Floats, Labels]]:
        """Return the images (b, d) and labels (b,) of each mini-batch."""
        for first in range(0, len(self.order), self.batch):
            chosen = self.order[first : first + self.batch]
            x = self.part.x[chosen].astype(dtype, copy=False)
            if self.mirrored is not None:
                rows, which = x.reshape(len(x), -1, self.row), self.mirrored[first : first + self.batch]
                rows[which] = rows[which][:, :, ::-1]
            yield x, self.part.y[chosen]


def image_order(n: int, settings: TrainingSettings, epoch: int) -> npt.NDArray[np.int64]:
    """Return the order of n images in an epoch: a function of `order_seed` and the epoch alone."""
    if settings.order == "fixed":
        return np.arange(n)
    return np.random.default_rng([settings.order_seed, epoch]).permutation(n)


def mirrored_images(n: int, settings: TrainingSettings, epoch: int) -> npt.NDArray[np.bool_]:
    """Return which of n images are mirrored in an epoch: each with probability 1/2, or none."""
    if not settings.mirror:
        return np.zeros(n, np.bool_)
    # A random stream of its own, so that mirroring does not change the order of the images.
    return np.random.default_rng([settings.order_seed, epoch, 1]).random(n) < _HALF
