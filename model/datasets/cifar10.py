"""Load CIFAR-10 (Krizhevsky 2009) as a dataset. `cifar10_source` finds its files, `cifar10_files` decodes them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from coarsefine.model.datasets.cache import cached, key_of
from coarsefine.model.datasets.cifar10_files import BATCHES, IMAGES
from coarsefine.model.datasets.cifar10_source import OFFICIAL, Archive, fetch, fingerprint, read_batches
from coarsefine.model.datasets.split import Dataset, Images, Raw, normalise
from coarsefine.model.errors import DataError

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which batches become which part; by default the paper's."""

    train: tuple[str, ...] = ("data_batch_1", "data_batch_3")
    validation: str = "data_batch_2"
    validation_images: int = 1000
    """How many of the validation batch's first images are used."""
    test: str = "test_batch"
    held_out: int = 0
    """How many of the last training images are moved to the validation part."""

    @property
    def batches(self) -> tuple[str, ...]:
        """Return the names of all batches that are needed."""
        return (*self.train, self.validation, self.test)

    def check(self) -> None:
        """Raise `DataError` for batches that do not exist or would share images between parts."""
        for name in self.batches:
            if name not in BATCHES:
                raise DataError(f"CIFAR-10 has no batch '{name}': choose among {', '.join(BATCHES)}.")
            if self.batches.count(name) > 1:
                raise DataError(
                    f"The batch '{name}' is chosen twice: training, validation and test may share no image."
                )
        if not self.train:
            raise DataError("No training batch is chosen: name at least one, such as data_batch_1.")
        if not 1 <= self.validation_images <= IMAGES:
            raise DataError(
                f"validation_images = {self.validation_images}: it must be 1 to {IMAGES:,}, the images of a batch."
            )
        if not 0 <= self.held_out < len(self.train) * IMAGES:
            raise DataError(
                f"held_out = {self.held_out}: of {len(self.train) * IMAGES:,} training images at least one must be "
                "left to train on, and held_out must not be negative."
            )


def load_cifar10(
    source: Path | None = None,
    selection: Selection | None = None,
    *,
    say: Callable[[str], None] = lambda _: None,
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
    selection = selection or Selection()
    selection.check()

    def make() -> Dataset:
        return _make(source or fetch(archive, say), selection)

    def key() -> str:
        # The official archive is known by its SHA-256: it need not even be there once its images are kept.
        files = fingerprint(source, selection.batches) if source else [["", archive.sha256]]
        return key_of("cifar10", files=files, selection=asdict(selection))

    return make() if cache is None else cached(key, make, cache, say)


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
