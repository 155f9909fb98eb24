"""Trained networks, and how they are saved: plain arrays in one `.npz` file, nothing pickled."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from coarsefine.model.atomic_files import atomic_file
from coarsefine.model.datasets import Dataset
from coarsefine.model.errors import DataError
from coarsefine.model.network import Floats, Parameters, forward
from coarsefine.model.npz_files import read_npz

_CHUNK = 1000
"""Number of images classified at once."""
_TYPES = {np.dtype("float32"), np.dtype("float64")}


@dataclass(frozen=True, slots=True)
class Network:
    """S ≥ 1 networks of one shape, trained from as many seeds, with the normalisation of their inputs.

    Network k maps the pixels of an image to p = softmax(W2ₖ·max(0, W1ₖ·(pixels/scale − mean) + b1ₖ) + b2ₖ). The
    ensemble of all networks gives the mean of their p.
    """

    theta: Parameters
    """W1 (S, m, d), b1 (S, m, 1), W2 (S, C, m), b2 (S, C, 1)."""
    mean: Floats
    """Mean (d,) of the scaled training images."""
    scale: float
    shape: tuple[int, ...]
    """Shape of one image, or (d,) if it was no image; its product is d."""
    classes: tuple[str, ...]
    limits: tuple[float, float] | None = None
    """Least and largest scaled number of the training images; None in a file of an earlier version."""

    @classmethod
    def of(cls, theta: Parameters, data: Dataset) -> Self:
        """Return the networks of a stack that was trained on these images."""
        low, high = (data.train.x.min(axis=0) + data.mean).min(), (data.train.x.max(axis=0) + data.mean).max()
        return cls(theta, data.mean, data.scale, data.shape, data.classes, (float(low), float(high)))

    def probabilities(self, x: Floats) -> npt.NDArray[np.float64]:
        """Return the ensemble's probabilities (n, C) of the classes for normalised images x (n, d)."""
        dtype, parts = self.theta.W1.dtype, []
        for start in range(0, len(x), _CHUNK):
            chunk = x[start : start + _CHUNK].astype(dtype, copy=False)
            act = forward(self.theta, chunk, np.zeros(len(chunk), np.int64))
            parts.append(act.P.mean(axis=0, dtype=np.float64).T)
        return np.concatenate(parts) if parts else np.empty((0, len(self.classes)))

    def save(self, path: Path) -> None:
        """Write the file atomically; raise `OSError` where that fails."""
        limits = {} if self.limits is None else {"limits": np.array(self.limits)}
        with atomic_file(path) as file:
            np.savez(
                file, allow_pickle=False, **self.theta._asdict(), mean=self.mean, scale=np.array(self.scale),
                shape=np.array(self.shape, np.int64), classes=np.array(self.classes), **limits,
            )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raise `DataError` for any other file. No code in the file is executed."""
        try:
            arrays = read_npz(path)
            theta = Parameters(*(arrays[name] for name in Parameters._fields))
            shape, classes = tuple(map(int, arrays["shape"])), tuple(map(str, arrays["classes"]))
            limits = None
            if "limits" in arrays:
                low, high = map(float, arrays["limits"])
                limits = low, high
            network = cls(theta, arrays["mean"], float(arrays["scale"]), shape, classes, limits)
            network._check()
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise DataError(f"{path} is not a network saved by Coarsefine ({error}): train it again.") from error
        return network

    def _check(self) -> None:
        """Raise `ValueError` unless the arrays form a network."""
        if not self.shape or min(self.shape) < 1 or self.shape[:-2] not in {(), (1,), (3,)}:
            raise ValueError(f"images of {self.shape} are neither grey nor RGB, nor features (d,)")
        S, m, d = self.theta.W1.shape
        C, pixels = len(self.classes), int(np.prod(self.shape))
        arrays = {**self.theta._asdict(), "mean": self.mean}
        shapes = ((S, m, d), (S, m, 1), (S, C, m), (S, C, 1), (pixels,))
        for (name, array), shape in zip(arrays.items(), shapes, strict=True):
            if array.shape != shape or array.dtype not in _TYPES or not np.isfinite(array).all():
                raise ValueError(f"{name} is {array.shape} {array.dtype}, not finite numbers of the shape {shape}")
        if len({array.dtype for array in self.theta}) > 1:
            raise ValueError("its arrays are of different precision")
        if d != len(self.mean) or not 0 < self.scale < np.inf or not S:
            raise ValueError(f"{S} networks for {d} pixels, a mean of {len(self.mean)}, a scale of {self.scale}")
        if self.limits is not None and not -np.inf < self.limits[0] <= self.limits[1] < np.inf:
            raise ValueError(f"its training images have numbers of {self.limits[0]} to {self.limits[1]}")
