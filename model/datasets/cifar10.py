"""CIFAR-10 (Krizhevsky 2009) from the official archive or its unpacked files, whichever of their three forms.

Only the batches that are asked for are read, so a partial copy that has them is fine. Nothing is extracted to disk and
nothing is unpickled.
"""

import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from coarsefine.model.datasets.cache import cache_folder, cached, key_of
from coarsefine.model.datasets.cifar10_files import BATCHES, IMAGES, read_batch
from coarsefine.model.datasets.split import Dataset, Images, Raw, normalise
from coarsefine.model.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
REMEDY = "Give the archive, or the folder of the unpacked files, with --data PATH or in COARSEFINE_DATA."
_FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-mat", "cifar-10-batches-py")
_SUFFIXES = (".bin", ".mat", "")
_LARGEST_FILE = 64 * 2**20
"""No official file has half of this; what a hostile archive unpacks to must not fill the memory."""
_UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, OverflowError, ValueError)
"""What reading may raise: OverflowError for a member of 2^80 bytes, ValueError for a NUL in the path."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which batches become which part; by default the paper's."""

    train: tuple[str, ...] = ("data_batch_1", "data_batch_3")
    validation: str = "data_batch_2"
    validation_images: int = 1000
    """The first of the validation batch."""
    test: str = "test_batch"
    held_out: int = 0
    """The last of the training images: they validate, too, and are not trained on."""

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
                f"validation_images = {self.validation_images}: a batch has 1 to {IMAGES:,} images to give."
            )
        if not 0 <= self.held_out < len(self.train) * IMAGES:
            raise DataError(
                f"held_out = {self.held_out}: of {len(self.train) * IMAGES:,} training images at least one must be "
                "left to train on, and none is 0."
            )


@dataclass(frozen=True, slots=True)
class Archive:
    """Where an archive is downloaded from, and what it must be."""

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """Return the file's name."""
        return PurePosixPath(self.url).name


OFFICIAL = Archive(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
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

    `source` is an archive, a folder of the unpacked files, or the folder around that; without one, the official binary
    archive is downloaded once into the cache folder (`COARSEFINE_CACHE`, or the system's own).
    With a `cache` folder the normalised images are kept there, and mapped: processes that load the same share one copy.

    Raises `DataError` for whatever is missing, truncated, damaged or not what it should be.
    """
    selection = selection or Selection()
    selection.check()

    def make() -> Dataset:
        return _make(source or fetch(archive, say), selection)

    def key() -> str:
        # The official archive is known by its SHA-256: it need not even be there once its images are kept.
        files = _fingerprint(source, selection.batches) if source else [["", archive.sha256]]
        return key_of("cifar10", files=files, selection=asdict(selection))

    return make() if cache is None else cached(key, make, cache, say)


def _make(source: Path, selection: Selection) -> Dataset:
    batches = _read(source, selection.batches)
    train = Images.join([batches[name] for name in selection.train])
    validation = batches[selection.validation].first(selection.validation_images)
    chosen: dict[str, str | list[str]] = {"train": list(selection.train), "validation": selection.validation}
    if selection.held_out:
        kept = len(train.labels) - selection.held_out
        validation = Images.join([validation, train.after(kept)])
        train = train.first(kept)
        chosen["validation"] = [selection.validation, f"the last {selection.held_out:,} of train"]
    raw = Raw(
        name="CIFAR-10",
        classes=CLASSES,
        shape=(3, 32, 32),
        scale=255.0,
        train=train,
        validation=validation,
        test=batches[selection.test],
    )
    return normalise(raw, {**chosen, "test": selection.test})


def _read(source: Path, names: tuple[str, ...]) -> Mapping[str, Images]:
    with _complaints(source):
        if source.is_dir():
            paths = _paths_in_folder(source, names)
            contents = {name: (str(path), path.read_bytes()) for name, path in paths.items()}
            return {name: read_batch(*content) for name, content in contents.items()}
        _check_kind(source)
        return {name: read_batch(*file) for name, file in _files_in_archive(source, names)}


def _fingerprint(source: Path, names: tuple[str, ...]) -> list[list[str]]:
    """Return name and SHA-256 of each file that `_read` would read; refuse at once what it would refuse at once."""
    with _complaints(source):
        if source.is_dir():
            return [[path.name, _sha256(path)] for path in _paths_in_folder(source, names).values()]
        _check_kind(source)
        with tarfile.open(source):  # something else may be of any length
            return [["", _sha256(source)]]


def _check_kind(source: Path) -> None:
    if not source.exists():
        raise DataError(f"There is no {source}. {REMEDY}")
    if not source.is_file():  # a device or a pipe may have no end
        raise DataError(f"{source} is neither a file nor a folder. {REMEDY}")


@contextmanager
def _complaints(source: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0].rstrip(":")  # tarfile goes on with a line for each compression
        raise DataError(
            f"{source} cannot be read ({reason}): it may be cut off or damaged; get it again. {REMEDY}"
        ) from error


def _paths_in_folder(source: Path, names: tuple[str, ...]) -> dict[str, Path]:
    folders = [source, *(source / inner for inner in _FOLDERS)]
    for folder in folders:
        for suffix in _SUFFIXES:
            paths = {name: folder / f"{name}{suffix}" for name in names}
            if all(path.is_file() for path in paths.values()):
                for path in paths.values():
                    _check_size(path)
                return paths
    present = {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}
    raise _missing(source, names, present)


def _check_size(path: Path) -> None:
    size = path.stat().st_size
    if size > _LARGEST_FILE:
        raise DataError(f"{path} has {size:,} bytes, more than any CIFAR-10 file: it is something else. {REMEDY}")


def _files_in_archive(source: Path, names: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Yield the wanted batches as they come: one pass through the archive, one batch in memory at a time."""
    wanted = {f"{name}{suffix}": name for name in names for suffix in _SUFFIXES}
    seen: set[str] = set()
    found: set[str] = set()
    with tarfile.open(source) as archive:
        for member in archive:
            if member.size < 0:  # tarfile would go back, and read the same members for ever
                raise tarfile.ReadError(f"{member.name} claims {member.size:,} bytes")
            file = PurePosixPath(member.name).name
            seen.add(file)
            name = wanted.get(file)
            if not member.isfile() or name is None or name in found:
                continue
            if member.size > _LARGEST_FILE:
                raise DataError(f"{source}: {member.name} claims {member.size:,} bytes, more than any CIFAR-10 file.")
            content = archive.extractfile(member)
            assert content is not None, "a regular file has content"  # noqa: S101
            found.add(name)
            yield name, (f"{source}: {member.name}", content.read())
        _read_to_the_end(archive)
    if len(found) < len(names):
        raise _missing(source, tuple(name for name in names if name not in found), seen)


def _read_to_the_end(archive: tarfile.TarFile) -> None:
    """Have the compression's checksum compared, which comes after all that tarfile reads."""
    assert archive.fileobj is not None, "an archive open for reading has a file"  # noqa: S101
    while archive.fileobj.read(2**20):
        pass


def _missing(source: Path, names: tuple[str, ...], seen: set[str]) -> DataError:
    stems = {file.removesuffix(".bin").removesuffix(".mat") for file in seen}
    absent = [name for name in names if name not in stems] or list(names)
    has = ", ".join(sorted(stems & set(BATCHES))) or "no CIFAR-10 batch"
    return DataError(f"{source} lacks {', '.join(absent)} (it has {has}). {REMEDY}")


def fetch(archive: Archive, say: Callable[[str], None]) -> Path:
    """Return the archive in the cache folder, downloading it if it is not there whole."""
    import pooch  # noqa: PLC0415 - half a second to import, needed for downloads alone
    from tqdm import tqdm  # noqa: PLC0415 - likewise

    cache = cache_folder()
    kept = cache / archive.name
    with _complaints(kept):
        if kept.is_file() and _sha256(kept) == archive.sha256:
            return kept
    say(f"Downloading {archive.url} to {cache}.")
    pooch.get_logger().setLevel("CRITICAL")  # what goes wrong is told below
    try:
        # Written to a temporary file and moved into place after its hash was checked: nothing half is ever found here.
        # Our own bar, closed on errors too, and silent where no terminal is; pooch sets its total, which may not be 0.
        with tqdm(total=1, unit="B", unit_scale=True, disable=None) as bar:
            downloader = pooch.HTTPDownloader(progressbar=bar, timeout=30)
            pooch.retrieve(archive.url, f"sha256:{archive.sha256}", archive.name, cache, downloader=downloader)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors, some ValueErrors too; a wrong hash is not
        reason = error if isinstance(error, OSError) else "its SHA-256 is not the official one"
        raise DataError(f"{archive.url} could not be downloaded ({reason}). {REMEDY}") from error
    return kept


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
