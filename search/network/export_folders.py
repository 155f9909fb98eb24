"""Copies of trials' folders next to the export of user code, so that artefacts go with it."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from coarsefine.search.errors import UsageError
from coarsefine.search.files import unwritable
from coarsefine.search.network.export import read_export
from coarsefine.search.network.function_export import FunctionExport
from coarsefine.search.results.trial_files import trial_folder
from coarsefine.search.storage.location import Location


def folders_of(export: FunctionExport, location: Location) -> dict[str, Path]:
    """Return the folders of the exported trial and of the final trainings that are on this machine, by trial."""
    trial = export.trial
    named = [(trial.stage, trial.number), *(("final", int(run["number"])) for run in export.runs)]
    found = {f"{stage}#{n}": trial_folder(location, export.campaign.name, stage, n) for stage, n in named}
    return {name: folder for name, folder in found.items() if folder.is_dir()}


def with_copies(export: FunctionExport, path: Path, folders: Mapping[str, Path]) -> FunctionExport:
    """Copy folders next to an export's file, in place of earlier copies; return the export that names the copies.

    Raises `UsageError` if something else is in their place, and `StorageError` if they cannot be written.
    """
    target = path.with_name(f"{path.stem}-files")
    if target.exists() and not _are_copies_of(path):
        raise UsageError(f"{target} was not written by an earlier export to {path}: move it, or name another --output.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as unfinished:
            for name, folder in folders.items():
                shutil.copytree(folder, Path(unfinished) / "new" / name.replace("#", "-"), symlinks=True)
            if target.exists():
                target.rename(Path(unfinished) / "old")
            if folders:
                (Path(unfinished) / "new").rename(target)
    except (OSError, shutil.Error) as error:
        reason = error if isinstance(error, OSError) else OSError(str(error))
        raise unwritable(target, reason) from error
    return export.model_copy(update={"folders": {name: f"{target.name}/{name.replace('#', '-')}" for name in folders}})


def _are_copies_of(path: Path) -> bool:
    """Return whether the export at a path names copies of folders."""
    earlier = read_export(path) if path.exists() else None
    return isinstance(earlier, FunctionExport) and bool(earlier.folders)
