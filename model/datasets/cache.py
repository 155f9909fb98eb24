"""A folder that keeps normalised images for later processes: made once, mapped by all, checked before use.

A file appears in the folder complete or not at all. Its name is a hash of its sources, so that a source that changed
by as little as a bit has another name. A damaged file costs the time to make it again, and nothing else.
"""

import errno
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import platformdirs

from coarsefine.model.atomic_files import remove_leftovers, temporary_file
from coarsefine.model.datasets.mapped import VERSION, content_sha256, open_mapped, write_mapped
from coarsefine.model.datasets.split import NORMALISATION, Dataset, MappedFile
from coarsefine.model.errors import CacheError

VARIABLE = "COARSEFINE_CACHE"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def cache_folder() -> Path:
    """Return the folder of downloads and normalised images: `COARSEFINE_CACHE`, or the system's cache folder."""
    return Path(os.environ.get(VARIABLE) or platformdirs.user_cache_dir("coarsefine")).absolute()


_NAME = re.compile(r"\w[\w.-]*")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file; raise `OSError` if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_of(name: str, /, **made_from: Any) -> str:
    """Return the name under which `cached` keeps a dataset, which contains a hash of everything that it is made from.

    `name` is that of the kind of dataset. `made_from` is in JSON form: the options, the hashes of files, a version of
    the code. What Coarsefine adds, such as the version of its normalisation, enters the hash as well.

    Raises `ValueError` for a name that is none for a file, and `TypeError` for what has no JSON form.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"key_of: the name is {name!r}: it must be letters, digits and '-', '_' or '.'")
    everything = {"form": VERSION, "normalisation": NORMALISATION, "order": sys.byteorder, "made from": made_from}
    return f"{name}-{hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()}"


def cached(
    key: Callable[[], str],
    make: Callable[[], Dataset],
    folder: Path | None,
    say: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """Return the dataset that the folder keeps under the key, mapped and checked; make and keep it if there is none.

    Without a folder, the dataset is made and stays in memory. `key` returns what `key_of` makes of the source. It is
    called again after `make`: a dataset whose source changed meanwhile is not kept. If the folder cannot keep the
    dataset, `say` reports it, and the dataset is returned in memory.

    Raises what `key` and `make` raise.
    """
    for argument, value in {"key": key, "make": make, "say": say}.items():
        if not callable(value):
            raise TypeError(f"cached: {argument} is {value!r}: it must be a function")
    if folder is not None and not isinstance(folder, Path):
        raise TypeError(f"cached: folder is {folder!r}: it must be a Path or None")
    if folder is None:
        return make()
    asked = key()
    path = folder / f"{asked}.data"
    try:
        return open_mapped(path)
    except CacheError as error:
        say(f"{error} It is made again.")
    except OSError:  # absent or unreadable: `_keep` finds out whether it can be replaced
        pass
    dataset = make()
    if key() != asked:
        say(f"The files of {dataset.name} changed while they were read: the images are not kept in {folder}.")
        return dataset
    try:
        return _keep(dataset, path)
    except (OSError, CacheError) as error:
        say(_not_kept(folder, dataset, error))
        return dataset


def share(dataset: Dataset, folder: Path, say: Callable[[str], None]) -> Dataset:
    """Return a dataset of this process's memory, mapped from a file of the folder that other processes can map.

    If the folder cannot keep it, `say` reports it, and the dataset is returned as it is.
    """
    if dataset.mapped_file is not None:
        return dataset
    described = {"name": dataset.name, "classes": dataset.classes, "scale": dataset.scale, "shape": dataset.shape}
    origin = {"digest": dataset.digest, "description": dataset.description}
    key = key_of("memory", content=content_sha256(dataset), counts=dataset.counts, **described, **origin)
    return cached(lambda: key, lambda: dataset, folder, say)


def reopen(file: MappedFile) -> Dataset | None:
    """Return a dataset that another process on this machine has checked; None if its file is gone or replaced.

    Only the header is compared with the one that process saw, which takes milliseconds for any number of images.
    """
    try:
        return open_mapped(file.path, file.header_sha256)
    except (OSError, CacheError):
        return None


def _keep(dataset: Dataset, path: Path) -> Dataset:
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    with temporary_file(path) as new:
        write_mapped(new, dataset)
        ours = open_mapped(new)  # check that it can be read back
        try:
            return open_mapped(path)  # another process was first: share its pages
        except (OSError, CacheError):
            new.replace(path)
    assert ours.mapped_file is not None, "what is mapped is kept"  # noqa: S101
    return replace(ours, mapped_file=replace(ours.mapped_file, path=path))


def _not_kept(folder: Path, dataset: Dataset, error: OSError | CacheError) -> str:
    cause, remedy = str(error).rstrip("."), f"Name another folder in {VARIABLE}."
    if isinstance(error, OSError):
        cause = error.strerror or cause
        if error.errno in _NO_ROOM:
            remedy = f"Make room there, or name another folder in {VARIABLE}."
    return f"{folder} cannot keep the images of {dataset.name} ({cause}): they stay in this process's memory. {remedy}"
