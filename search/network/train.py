"""Trains an export on any machine, and records the result with its campaign if the storage has it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from coarsefine.model.arithmetic import why_slow
from coarsefine.model.datasets import Dataset
from coarsefine.search.arguments import require, require_callable, whole_number
from coarsefine.search.campaign.sections import FinalSettings
from coarsefine.search.campaign.validation_errors import sentence
from coarsefine.search.errors import StorageError, UsageError
from coarsefine.search.network.export import AnyExport, digest_of
from coarsefine.search.network.export_schema import Export
from coarsefine.search.network.final_training import FinalTraining
from coarsefine.search.network.function_export import FunctionExport
from coarsefine.search.network.training_folder import TrainingFolder, folder_name
from coarsefine.search.results.campaign_studies import campaign_of, find_studies
from coarsefine.search.results.final_result import FinalResult, read_final, training_key
from coarsefine.search.results.observer import Observer, require_observer
from coarsefine.search.results.study import Study
from coarsefine.search.storage.location import Location, locate
from coarsefine.search.storage.opening import open_storage, storage_exists
from coarsefine.search.storage.tables import IDENTITY
from coarsefine.search.training.images import Source, load_images, require_source


class Trained(NamedTuple):
    """What `train` returns."""

    result: FinalResult
    study: str | None
    """Name of the study that the result was recorded with; None if it was recorded only in its folder."""


def train(  # noqa: PLR0913 - all but the first are optional, and most keywords
    export: AnyExport,
    final_settings: FinalSettings | None = None,
    storage: str | Path | Location = "studies.db",
    *,
    data: Source | None = None,
    output: Path | None = None,
    observer: Observer | None = None,
    stop: Callable[[], bool] = lambda: False,
    threads: int = 1,
) -> Trained:
    """Train an exported trial, and record the result with its campaign if the storage holds it.

    `final_settings` are by default the campaign's [final]. Networks, model card and curves go to `output`, by default a
    new folder under `trained` next to the storage. The folder holds a checkpoint during the training: the same
    call continues from it, and ends with the same bits. A call after the training has finished returns its result.
    `threads` train together and change no bit; one for each idle core is best. NumPy uses one.

    Raises what `FinalTraining.run` and `coarsefine.search.training.images.load_images` raise.
    """
    if isinstance(export, FunctionExport):
        raise UsageError("The export is of code of your own, not of the built-in network: use `coarsefine train`.")
    require(isinstance(export, Export), "train: export", export, "an export: read one by read_export")
    fits = final_settings is None or isinstance(final_settings, FinalSettings)
    require(fits, "train: final_settings", final_settings, "FinalSettings")
    require_source("train: data", data)
    require(output is None or isinstance(output, Path), "train: output", output, "a Path")
    require_observer("train: observer", observer)
    require_callable("train: stop", stop)
    threads = whole_number("train: threads", threads, 1)
    final_settings, location, observer = final_settings or export.final, locate(storage), observer or Observer()
    folder = (output or location.output_folder("trained") / folder_name(export, final_settings)).absolute()
    study = _study_of(export, location)  # before the training, so that an unfit storage is reported at once
    result = FinalTraining(
        export, final_settings, TrainingFolder(folder),
        load=lambda: _load(export, data, observer),
        on_epoch=lambda epoch, accuracy: observer.on_final_epoch(epoch, final_settings.epochs, accuracy),
        warn=observer.on_warning, stop=stop, threads=threads,
    ).run()  # fmt: skip
    if study is None:
        return Trained(result, None)
    try:
        _record(study, result, location)
    except StorageError as error:
        observer.on_warning(f"The training is in {folder}, but could not be recorded with its campaign: {error}")
        return Trained(result, None)
    return Trained(result, study.name)


def final_settings_for(export: Export, **changes: Any) -> FinalSettings:
    """Return the export's final settings with the changes that are not None. Raises `UsageError` for invalid ones."""
    changed = {name: value for name, value in changes.items() if value is not None}
    try:
        return FinalSettings.model_validate({**export.final.model_dump(), **changed})
    except ValidationError as error:
        raise UsageError(f"The final training has invalid settings: {sentence(error, FinalSettings)}") from error


def _load(export: Export, data: Source | None, observer: Observer) -> Dataset:
    """Return the export's images; first warn if the training, which begins with them, has no kernel."""
    if reason := why_slow():
        observer.on_warning(reason)
    return load_images(export.data.selection, data, observer.on_message)


def _study_of(export: Export, location: Location) -> Study | None:
    """Return the study of the exported trial, or None if the storage does not hold the same campaign."""
    if not storage_exists(location):
        return None
    with closing(open_storage(location)) as storage:
        studies = find_studies(storage, export.campaign.name)
    if not studies or digest_of(campaign_of(studies)) != export.campaign.fingerprint:
        return None
    return studies.get(export.trial.study)


def _record(study: Study, result: FinalResult, location: Location) -> None:
    """Record a result with its trial's study, unless it is the campaign's own, which `run` has recorded."""
    with closing(open_storage(location, writing=True)) as storage:
        own = read_final(find_studies(storage, study.attrs["campaign"]))
        if own is None or replace(own, folder="") != replace(result, folder=""):
            storage.set_study_attrs(study.id, {training_key(result): result.as_attr()}, study.attrs.get(IDENTITY))
