"""The batches of CIFAR-10, from the official archive or its unpacked files, in any of their three formats.

Only the batches that are asked for are read, so a partial copy that has them is enough. Nothing is extracted to disk
and nothing is unpickled.
"""

import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from coarsefine.model.datasets.cache import cache_folder, sha256_of
from coarsefine.model.datasets.cifar10_files import BATCHES, read_batch
from coarsefine.model.datasets.split import Images
from coarsefine.model.errors import DataError

VARIABLE = "COARSEFINE_DATA"
"""The environment variable with the default of `--data`."""
_REMEDY = f"Give the archive, or the folder of the unpacked files, with --data PATH or in {VARIABLE}."
_FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-mat", "cifar-10-batches-py")
_SUFFIXES = (".bin", ".mat", "")
_LARGEST_FILE = 64 * 2**20
"""Bytes. Every official file is under half as large; a hostile archive must not fill the memory."""
_UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, OverflowError, ValueError)
"""What reading may raise: `OverflowError` for a member of 2^80 bytes, `ValueError` for a NUL in the path."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Where an archive is downloaded from, and the SHA-256 it must have."""

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


def read_batches(source: Path, names: tuple[str, ...]) -> Mapping[str, Images]:
    """Return the named batches of an archive or a folder; raise `DataError` if one is missing or damaged."""
    with _as_data_errors(source):
        if source.is_dir():
            paths = _paths_in_folder(source, names)
            contents = {name: (str(path), path.read_bytes()) for name, path in paths.items()}
            return {name: read_batch(*content) for name, content in contents.items()}
        _check_kind(source)
        return {name: read_batch(*file) for name, file in _files_in_archive(source, names)}


def fingerprint(source: Path, names: tuple[str, ...]) -> list[list[str]]:
    """Return name and SHA-256 of each file that `read_batches` would read; raise `DataError` if one is missing."""
    with _as_data_errors(source):
        if source.is_dir():
            return [[path.name, sha256_of(path)] for path in _paths_in_folder(source, names).values()]
        _check_kind(source)
        with tarfile.open(source):  # hash only archives: any other file may be of any length
            return [["", sha256_of(source)]]


def _check_kind(source: Path) -> None:
    if not source.exists():
        raise DataError(f"There is no {source}. {_REMEDY}")
    if not source.is_file():  # a device or a pipe may have no end
        raise DataError(f"{source} is neither a file nor a folder. {_REMEDY}")


@contextmanager
def _as_data_errors(source: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0].rstrip(":")  # tarfile adds a line for each compression
        raise DataError(
            f"{source} cannot be read ({reason}): it may be cut off or damaged; get it again. {_REMEDY}"
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
    if (size := path.stat().st_size) > _LARGEST_FILE:
        raise DataError(f"{path} has {size:,} bytes, more than any CIFAR-10 file: it is something else. {_REMEDY}")


def _files_in_archive(source: Path, names: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Yield name and file of each batch in the archive's order: one pass, and one batch in memory at a time."""
    wanted = {f"{name}{suffix}": name for name in names for suffix in _SUFFIXES}
    seen: set[str] = set()
    found: set[str] = set()
    with tarfile.open(source) as archive:
        for member in archive:
            if member.size < 0:  # tarfile would step back and read the same members forever
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
        assert archive.fileobj is not None, "an archive open for reading has a file"  # noqa: S101
        while archive.fileobj.read(2**20):  # read on to the checksum of the compression, after tarfile's last byte
            pass
    if len(found) < len(names):
        raise _missing(source, tuple(name for name in names if name not in found), seen)


def _missing(source: Path, names: tuple[str, ...], seen: set[str]) -> DataError:
    stems = {file.removesuffix(".bin").removesuffix(".mat") for file in seen}
    absent = [name for name in names if name not in stems] or list(names)
    has = ", ".join(sorted(stems & set(BATCHES))) or "no CIFAR-10 batch"
    return DataError(f"{source} lacks {', '.join(absent)} (it has {has}). {_REMEDY}")


def fetch(archive: Archive, say: Callable[[str], None]) -> Path:
    """Return the archive in the cache folder; download it unless a complete copy is there."""
    import pooch  # noqa: PLC0415 - half a second to import, needed for downloads alone
    from tqdm import tqdm  # noqa: PLC0415 - likewise

    cache = cache_folder()
    kept = cache / archive.name
    with _as_data_errors(kept):
        if kept.is_file() and sha256_of(kept) == archive.sha256:
            return kept
    say(f"Downloading {archive.url} to {cache}.")
    pooch.get_logger().setLevel("CRITICAL")  # errors are reported below
    try:
        # pooch writes to a temporary file and moves it into place after checking its hash: a partial archive never has
        # this name. The bar is opened here so that it is closed on errors and silent without a terminal. Its total must
        # not be 0; pooch sets it later.
        with tqdm(total=1, unit="B", unit_scale=True, disable=None) as bar:
            downloader = pooch.HTTPDownloader(progressbar=bar, timeout=30)
            pooch.retrieve(archive.url, f"sha256:{archive.sha256}", archive.name, cache, downloader=downloader)
    except (OSError, ValueError) as error:  # OSError: requests' errors; ValueError: a wrong hash
        reason = error if isinstance(error, OSError) else "its SHA-256 is not the official one"
        raise DataError(f"{archive.url} could not be downloaded ({reason}). {_REMEDY}") from error
    return kept
