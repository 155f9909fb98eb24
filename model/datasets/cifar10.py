"""Load CIFAR-10 (Krizhevsky 2009) as a dataset. `cifar10_source` finds its files, `cifar10_files` decodes them."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from coarsefine.model.datasets.cache import cached, key_of
from coarsefine.model.datasets.cifar10_files import IMAGES, BatchName
from coarsefine.model.datasets.cifar10_source import OFFICIAL, VARIABLE, Archive, fetch, fingerprint, read_batches
from coarsefine.model.datasets.kinds import DatasetKind, Say
from coarsefine.model.datasets.options import Options
from coarsefine.model.datasets.split import Dataset, Images, Raw, normalise

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Selection(Options):
    """Which batches become which part; by default the paper's."""

    train: tuple[BatchName, ...] = ("data_batch_1", "data_batch_3")
    """Batches to train on."""
    validation: BatchName = "data_batch_2"
    """Batch whose first images validate."""
    validation_images: Annotated[int, Field(ge=1, le=IMAGES)] = 1000
    """Number of images of the validation batch that are used."""
    test: BatchName = "test_batch"
    """Batch for the test, which only the final training uses."""
    held_out: Annotated[int, Field(ge=0)] = 0
    """Number of the last training images that validate instead of being trained on."""

    @property
    def batches(self) -> tuple[str, ...]:
        """Return the names of all batches that are needed."""
        return (*self.train, self.validation, self.test)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.batches:
            if self.batches.count(name) > 1:
                raise ValueError(
                    f"the batch '{name}' is chosen twice: training, validation and test may share no image"
                )
        if not self.train:
            raise ValueError("no training batch is chosen: name at least one, such as data_batch_1")
        if self.held_out >= len(self.train) * IMAGES:
            raise ValueError(
                f"held_out = {self.held_out}: of {len(self.train) * IMAGES:,} training images at least one must be "
                "left to train on"
            )
        return self


def load_cifar10(
    source: Path | None = None,
    selection: Selection | None = None,
    *,
    say: Say = lambda _: None,
    archive: Archive = OFFICIAL,
    cache: Path | None = None,
) -> Dataset:
    """Return the chosen batches of CIFAR-10 as a dataset.

    `source` is an archive, a folder of the unpacked files, or the folder around that. Without one, the official binary
    archive is downloaded once into the cache folder (`COARSEFINE_CACHE`, or the system's own). With a `cache` folder
    the normalised images are kept there and mapped: processes that load the same images share one copy. Progress is
    reported to `say`.

    Raises `DataError` if a file is missing, cut off, damaged or not CIFAR-10.
    """
    chosen = selection or Selection()

    def make() -> Dataset:
        return _make(source or fetch(archive, say), chosen)

    def key() -> str:
        # The official archive is known by its SHA-256: it need not even be there once its images are kept.
        files = fingerprint(source, chosen.batches) if source else [["", archive.sha256]]
        return key_of("cifar10", files=files, selection=chosen.model_dump(mode="json"))

    return cached(key, make, cache, say)


def _make(source: Path, selection: Selection) -> Dataset:
    batches = read_batches(source, selection.batches)
    train = Images.join([batches[name] for name in selection.train])
    validation = batches[selection.validation][: selection.validation_images]
    chosen: dict[str, str | list[str]] = {"train": list(selection.train), "validation": selection.validation}
    if selection.held_out:
        kept = len(train.labels) - selection.held_out
        validation = Images.join([validation, train[kept:]])
        train = train[:kept]
        chosen["validation"] = [selection.validation, f"the last {selection.held_out:,} of train"]
    raw = Raw("CIFAR-10", _CLASSES, (3, 32, 32), 255.0, train, validation, batches[selection.test])
    return normalise(raw, {**chosen, "test": selection.test})


def _load(options: Selection, source: Path | None, say: Say, cache: Path | None) -> Dataset:
    return load_cifar10(source, options, say=say, cache=cache)


CIFAR10 = DatasetKind("CIFAR-10 images", _load, Selection, source="cifar-10-binary.tar.gz", variable=VARIABLE)
