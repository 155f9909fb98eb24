"""What a trained network says of image files, or of a part of the images it was trained with."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from coarsefine.model import Network
from coarsefine.model.errors import DataError
from coarsefine.model.image_files import read_pictures
from coarsefine.search.network.artifacts import EXPORT, MODEL
from coarsefine.search.network.export import read_export
from coarsefine.search.network.final_training import OUTCOME
from coarsefine.search.training.images import load_images

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Probabilities of the classes, (n, C), for n images with names; labels where they are known."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64] | None = None

    @property
    def chosen(self) -> npt.NDArray[np.int64]:
        """Return the likeliest class of each image."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def accuracy(self) -> float | None:
        """Return the fraction that is right; None where labels are not known."""
        return None if self.labels is None else float((self.chosen == self.labels).mean())

    def accuracy_of(self, label: int) -> float | None:
        """Return the fraction of a class's images that is right; None where there are none."""
        if self.labels is None or not (those := self.labels == label).any():
            return None
        return float((self.chosen[those] == label).mean())

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        labels = [None] * len(self.names) if self.labels is None else [self.classes[label] for label in self.labels]
        images = [
            {"image": name, "class": self.classes[best], "label": label, "probabilities": row.tolist()}
            for name, best, label, row in zip(self.names, self.chosen, labels, self.probabilities, strict=True)
        ]
        return {"classes": list(self.classes), "accuracy": self.accuracy, "images": images}


def load_model(model: Path) -> Network:
    """Read a trained network: the file, or the folder of a final training; raise `DataError`."""
    return Network.load(model / MODEL if model.is_dir() else model)


def predict_files(model: Path, images: Sequence[Path]) -> Prediction:
    """Return what a network says of image files; raise `DataError` for one that does not fit it."""
    network = load_model(model)
    x = read_pictures(images, network)
    return Prediction(network.classes, tuple(map(str, images)), network.probabilities(x))


def predict_split(model: Path, split: Split, data: Path | None, say: Callable[[str], None]) -> Prediction:
    """Return what a network says of a part of its campaign's images, which the export beside it names.

    Raises `UsageError` where there is no such export, `DataError` where the images at hand are others.
    """
    network, folder = load_model(model), model if model.is_dir() else model.parent
    export = read_export(folder / EXPORT)
    images = load_images(export.data.selection, data, say)
    export.data.check(images)
    if (network.shape, network.classes) != (images.shape, images.classes):
        raise DataError(f"{model} was trained with other images than the export beside it: train it again.")
    say(_warning(folder, split))
    part = getattr(images, split)
    names = tuple(f"{split} {place}" for place in range(len(part.y)))
    return Prediction(network.classes, names, network.probabilities(part.x), part.y)


def _warning(folder: Path, split: Split) -> str:
    """Return what a part's accuracy does not show."""
    if split == "test":
        return "This uses the test images once more: choose nothing by what comes."
    if split == "validation" and not _trained_on_validation(folder):
        return "Validation images chose the setting: their accuracy is optimistic."
    return f"The model was trained on these {'training' if split == 'train' else split} images: they do not test it."


def _trained_on_validation(folder: Path) -> bool:
    try:
        told = json.loads((folder / OUTCOME).read_text("utf-8"))
        return bool(told["on_validation"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"There is no whole {OUTCOME} in {folder} ({error!r}): train it again.") from error
