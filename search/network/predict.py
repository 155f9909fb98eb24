"""Classifies image files, or a part of the images a network was trained with."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from coarsefine.model import Network
from coarsefine.model.errors import DataError
from coarsefine.model.image_files import read_image_files
from coarsefine.search.errors import UsageError
from coarsefine.search.network.export import read_export
from coarsefine.search.network.export_schema import Export
from coarsefine.search.network.training_folder import EXPORT, MODEL, RESULT
from coarsefine.search.training.images import load_images

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Class probabilities (n, C) of n named images, with their labels (n,) if known."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64] | None = None

    @property
    def chosen(self) -> npt.NDArray[np.int64]:
        """Return the most probable class of each image, (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def accuracy(self) -> float | None:
        """Return the fraction of correct classes, or None if the labels are unknown."""
        return None if self.labels is None else float((self.chosen == self.labels).mean())

    def accuracy_of(self, label: int) -> float | None:
        """Return the fraction of correct classes among the images of one class, or None if there are none."""
        if self.labels is None or not (members := self.labels == label).any():
            return None
        return float((self.chosen[members] == label).mean())

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        labels = [None] * len(self.names) if self.labels is None else [self.classes[label] for label in self.labels]
        images = [
            {"image": name, "class": self.classes[best], "label": label, "probabilities": row.tolist()}
            for name, best, label, row in zip(self.names, self.chosen, labels, self.probabilities, strict=True)
        ]
        return {"classes": list(self.classes), "accuracy": self.accuracy, "images": images}


def load_model(model: Path) -> Network:
    """Read a trained network from its file or from the folder of a final training.

    Raises `DataError`, and `UsageError` if the folder is of user code.
    """
    if model.is_dir() and not (model / MODEL).exists() and (model / EXPORT).is_file():
        _network_export(model / EXPORT)
    return Network.load(model / MODEL if model.is_dir() else model)


def _network_export(path: Path) -> Export:
    """Return the export of a network; raise `UsageError` if it is one of user code."""
    export = read_export(path)
    if not isinstance(export, Export):
        raise UsageError(
            f"{path.parent} is of code of your own, and `predict` is for the built-in network: let your code predict, "
            "with the files that it wrote into its trials' folders."
        )
    return export


def predict_files(model: Path, images: Sequence[Path]) -> Prediction:
    """Classify image files. Raises `DataError` for an image that does not fit the network."""
    network = load_model(model)
    x = read_image_files(images, network)
    return Prediction(network.classes, tuple(map(str, images)), network.probabilities(x))


def predict_split(model: Path, split: Split, data: Path | None, say: Callable[[str], None]) -> Prediction:
    """Classify one part of the images that the export next to the model names.

    Raises `UsageError` if there is no such export, and `DataError` if other images are found.
    """
    network, folder = load_model(model), model if model.is_dir() else model.parent
    export = _network_export(folder / EXPORT)
    images = load_images(export.data.selection, data, say)
    export.data.check(images)
    if (network.shape, network.classes) != (images.shape, images.classes):
        raise DataError(f"{model} was trained with other images than the export next to it: train it again.")
    say(_warning(folder, split))
    part = getattr(images, split)
    names = tuple(f"{split} {index}" for index in range(len(part.y)))
    return Prediction(network.classes, names, network.probabilities(part.x), part.y)


def _warning(folder: Path, split: Split) -> str:
    """Return a sentence about what the accuracy on a part does not show."""
    if split == "test":
        return "This uses the test images once more: choose nothing by the result."
    if split == "validation" and not _trained_on_validation(folder):
        return "The hyperparameters were chosen on the validation images: their accuracy is optimistic."
    images = "training" if split == "train" else split
    return f"The model was trained on the {images} images: their accuracy does not test it."


def _trained_on_validation(folder: Path) -> bool:
    try:
        result = json.loads((folder / RESULT).read_text("utf-8"))
        return bool(result["on_validation"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{folder / RESULT} cannot be read ({error!r}): train the model again.") from error
