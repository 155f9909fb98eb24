"""Bars in noise: small images of a bright bar. The class is its direction: horizontal, vertical or diagonal."""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field

from coarsefine import Dataset, DatasetKind, cached, key_of


class Options(BaseModel):
    """What `[data]` may hold besides `dataset`."""

    size: int = Field(12, ge=4, le=64, description="rows and columns of an image")
    images: int = Field(600, ge=30, le=100_000, description="number of images in all parts together")
    noise: float = Field(0.3, ge=0, le=1, description="share of the grey values that is noise")


def load(options: Options, _source: Path | None, say, cache: Path | None) -> Dataset:
    """Return the dataset, from the cache folder if a process has made it before."""

    def make() -> Dataset:
        say(f"Drawing {options.images:,} images of bars.")
        pixels, labels = draw(options)
        return Dataset.from_arrays(pixels, labels, classes=["horizontal", "vertical", "diagonal"], name="bars")

    return cached(lambda: key_of("bars", version=1, options=options.model_dump()), make, cache, say)


def draw(options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, size, size), uint8, and their labels (n,): always the same for the same options."""
    rng = np.random.default_rng(2026)
    size, labels = options.size, np.arange(options.images) % 3
    images = options.noise * rng.random((len(labels), size, size))
    for image, label in zip(images, labels, strict=True):
        place = rng.integers(size)
        bar = (image[place], image[:, place], image[np.arange(size), (np.arange(size) + place) % size])[label]
        bar += 1 - options.noise
    return np.round(255 * images).astype(np.uint8), labels


BARS = DatasetKind(title="bars in noise", load=load, options=Options)
