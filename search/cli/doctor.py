"""Check, before a search starts, whether this machine, its data and its storage are ready for it."""

import os
import platform
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from threadpoolctl import threadpool_info

from coarsefine.model.datasets import DATASETS, cache_folder
from coarsefine.model.datasets.cifar10_source import VARIABLE
from coarsefine.model.errors import ExtensionError, KernelError, ModelError
from coarsefine.model.extensions import Group, known, load, package_of
from coarsefine.model.kernel.library import load as load_kernel
from coarsefine.model.kernel.library import why_none, why_not_faster
from coarsefine.search.campaign.network_settings import SETTINGS, unusable_setting
from coarsefine.search.campaign.pruning import PRUNERS
from coarsefine.search.campaign.sampling import SAMPLERS
from coarsefine.search.campaign.sections import Data
from coarsefine.search.errors import SearchError, StorageError
from coarsefine.search.results.campaign_studies import campaign_names
from coarsefine.search.storage import sqlite
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.opening import check_storage, open_storage, server_version, storage_exists
from coarsefine.search.training import checkpoints
from coarsefine.search.training.images import read_images
from coarsefine.search.training.user_code.devices import VISIBLE, installed_gpus, visible_gpus

_WITHOUT_CACHE = "what is not in it, every process holds in its own memory: name another folder in COARSEFINE_CACHE"

_LEAST_SPACE = 200 * 2**20
"""Bytes that a campaign's files may take."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    verdict: Literal["ok", "note", "unfit"]
    found: str
    """What was found, and what to do about it unless it is ok."""
    exit_code: int = 0


def examine(storage: Location, data: Path | None) -> list[Finding]:
    """Check everything that a search relies on; create and change nothing."""
    installed = [f"{name} {version(name)}" for name in ("coarsefine", "numpy", "scipy", "optuna")]
    if path := storage.path:
        database = [_sqlite(), _attempt("file system", lambda: sqlite.file_system(path) or "of unknown kind")]
    else:
        database = [_attempt("postgresql", lambda: f"{storage} answers, version {server_version(storage)}")]
    return [
        Finding("python", "ok", ", ".join([platform.python_version(), *installed])),
        _processor(),
        _gpus(),
        _kernel(),
        *database,
        _attempt("disk", lambda: _space(storage)),
        _attempt("storage", lambda: _campaigns(storage)),
        _attempt("digits", lambda: read_images(Data(dataset="digits"), None).description),
        *_given_images(data),
        *_other_packages(),
        _cache(cache_folder()),
    ]


def _processor() -> Finding:
    blas = {f"{lib['internal_api']} {lib['version']}" for lib in threadpool_info() if lib["user_api"] == "blas"}
    found = f"{os.cpu_count()} cores, {', '.join(sorted(blas)) or 'no BLAS found'}, one thread for each worker"
    return Finding("processor", "ok" if blas else "note", found)


def _gpus() -> Finding:
    found = ", ".join(f"{index}: {name}, {memory}" for index, name, memory in installed_gpus())
    visible = visible_gpus(os.environ)
    limit = "" if visible is None else f"; {VISIBLE} names {', '.join(visible) or 'none'}"
    return Finding("gpus", "ok", f"{found or 'none that nvidia-smi lists'}{limit}")


def _kernel() -> Finding:
    try:
        library = load_kernel()
    except KernelError as error:
        return Finding("kernel", "unfit", str(error), error.exit_code)
    if library is None:
        return Finding("kernel", "note", f"none: training uses NumPy, which is slower. {why_none()}")
    found = f"{library.instruction_set} instructions, {library.path}"
    if reason := why_not_faster():
        return Finding("kernel", "note", f"{found}. {reason}")
    return Finding("kernel", "ok", found)


def _sqlite() -> Finding:
    mode = sqlite.journal_mode()
    if mode == "wal":
        return Finding("sqlite", "ok", f"{sqlite3.sqlite_version}, journal mode WAL")
    why = "its WAL mode can corrupt a database that several processes use; fixed in 3.51.3"
    return Finding("sqlite", "note", f"{sqlite3.sqlite_version}, journal mode DELETE: {why}")


def _space(location: Location) -> str:
    """Return how much room a campaign has for its files; raise `StorageError` if there is too little, or no access."""
    folder, elsewhere = location.folder, "give another --storage" if location.path else "start in another folder"
    if not folder.is_dir():
        raise StorageError(f"There is no folder {folder}: make it, or {elsewhere}.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"{folder} cannot be written: grant yourself write access to it, or {elsewhere}.")
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB free in {folder}"
    if free < _LEAST_SPACE:
        raise StorageError(f"{found}: make room.")
    return found


def _campaigns(location: Location) -> str:
    if not storage_exists(location):
        return f"{location} holds no studies yet; the first run makes them"
    check_storage(location, writing=True)
    with closing(open_storage(location)) as storage:
        return f"{location} is sound; campaigns: {', '.join(campaign_names(storage)) or 'none'}"


def _given_images(data: Path | None) -> list[Finding]:
    """Check what `--data` names: arrays if it is a .npz file, otherwise CIFAR-10."""
    if data is None or data.suffix != ".npz":
        return [_cifar10(data)]
    return [_cifar10(None), _attempt("arrays", lambda: read_images(Data(dataset="arrays"), data).description)]


def _other_packages() -> list[Finding]:
    """Check what other packages bring."""
    groups: list[Group[Any]] = [DATASETS, SAMPLERS, PRUNERS, SETTINGS]
    return [
        _attempt(name if group is DATASETS else f"{group.noun} {name}", partial(_other, group, name))
        for group in groups
        for name in known(group)
        if name not in group.built_in
    ]


def _other(group: Group[Any], name: str) -> str:
    """Return what another package brings; raise `ExtensionError` if it cannot be used."""
    if group is SETTINGS and (reason := unusable_setting(name)):
        raise ExtensionError(f"{reason}: rename it in that package")
    found = load(group, name)
    source = f"of {' '.join(package_of(group, name) or ())}"
    if group is DATASETS:
        return f"{found.title}, {source}"
    return f"{found.help.rstrip('.')}; sets {found.sets}, {source}" if group is SETTINGS else source


def _cifar10(data: Path | None) -> Finding:
    if data is None and not os.environ.get(VARIABLE):
        found = f"no --data and no {VARIABLE}: a campaign on it will look in its cache, then download 170 MB"
        return Finding("cifar10", "note", found)
    return _attempt("cifar10", lambda: read_images(Data(dataset="cifar10"), data).description)


def _cache(folder: Path) -> Finding:
    try:
        found = f"{folder} {_contents(folder)}"
    except OSError as error:
        return Finding("cache", "note", f"{folder}: {error.strerror}; {_WITHOUT_CACHE}")
    if not os.access(sqlite.nearest_existing(folder), os.W_OK | os.X_OK):
        return Finding("cache", "note", f"{found}, and cannot be written; {_WITHOUT_CACHE}")
    return Finding("cache", "ok", found)


def _contents(folder: Path) -> str:
    if not folder.exists():
        return "is not there yet; the first run makes it"
    sizes = [path.stat().st_size for path in folder.iterdir() if path.is_file()]
    unfinished = checkpoints.size_of(folder)
    weights = f", and {unfinished / 2**20:,.0f} MiB of unfinished trials' weights" if unfinished else ""
    return f"holds {len(sizes)} files, {sum(sizes) / 2**20:,.0f} MiB{weights}; what is deleted from it is made again"


def _attempt(check: str, find: Callable[[], str]) -> Finding:
    try:
        return Finding(check, "ok", find())
    except (SearchError, ModelError) as error:
        return Finding(check, "unfit", str(error), error.exit_code)


def exit_code_of(findings: list[Finding]) -> int:
    """Return the exit code of the first finding that is unfit, or 0."""
    return next((finding.exit_code for finding in findings if finding.verdict == "unfit"), 0)
