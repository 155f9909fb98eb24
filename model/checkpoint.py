"""A trained network to and from disk: plain arrays in one `.npz`, nothing pickled."""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from model.datasets import Dataset
from model.errors import DataError
from model.network import Floats, Parameters


@dataclass(frozen=True, slots=True)
class Network:
    """One trained network, and what its inputs need: p = softmax(W2·max(0, W1·(pixels/scale − mean) + b1) + b2)."""

    W1: Floats
    """(m, d)"""
    b1: Floats
    """(m,)"""
    W2: Floats
    """(C, m)"""
    b2: Floats
    """(C,)"""
    mean: Floats
    """(d,), of the training images"""
    scale: float
    classes: tuple[str, ...]

    @classmethod
    def of(cls, theta: Parameters, lane: int, data: Dataset) -> Self:
        """Take one trial out of a stack."""
        W1, b1, W2, b2 = (array[lane] for array in theta.arrays())
        return cls(W1, b1[:, 0], W2, b2[:, 0], data.mean, data.scale, data.classes)

    def save(self, path: Path) -> None:
        """Write the file whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.part")
        with unfinished.open("wb") as file:
            np.savez(
                file, allow_pickle=False, W1=self.W1, b1=self.b1, W2=self.W2, b2=self.b2,
                mean=self.mean, scale=np.array(self.scale), classes=np.array(self.classes),
            )  # fmt: skip
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raise `DataError` for any other file."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                W1, b1, W2, b2, mean = (arrays[name] for name in ("W1", "b1", "W2", "b2", "mean"))
                return cls(W1, b1, W2, b2, mean, float(arrays["scale"]), tuple(arrays["classes"].tolist()))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} is no trained network of Coarsefine's ({error}): train it again.") from error
