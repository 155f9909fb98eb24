"""Trains what was exported, anywhere; and tells the campaign it came from, where that is at hand."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from coarsefine.model.datasets import Dataset
from coarsefine.search.campaign.schema import FinalSettings
from coarsefine.search.campaign.validation_errors import sentence
from coarsefine.search.errors import StorageError, UsageError
from coarsefine.search.network.artifacts import folder_for
from coarsefine.search.network.export import digest_of
from coarsefine.search.network.export_schema import Export
from coarsefine.search.network.final_training import FinalTraining
from coarsefine.search.results.final_result import FinalResult
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.status import read_final, training_key
from coarsefine.search.results.study import Study, campaign_of, find_studies
from coarsefine.search.storage.location import Location, locate
from coarsefine.search.storage.optuna_storage import open_storage, storage_exists
from coarsefine.search.training.images import load_images


def train(
    export: Export,
    final_settings: FinalSettings | None = None,
    storage: str | Path | Location = "studies.db",
    *,
    data: Path | None = None,
    output: Path | None = None,
    observer: Observer | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[FinalResult, str | None]:
    """Train an exported trial; return what came of it, and the name of the study it was recorded with, if it was.

    `final_settings` are the campaign's [final] by default. Network, card and curves go to `output`, by default into a
    folder of their own under `trained` beside the storage; amid the training a checkpoint lies there, from which the
    same call goes on to the same bits. Finished once, it is told again, not trained again.

    Raises what `FinalTraining.run` and `coarsefine.search.training.images.load_images` do.
    """
    final_settings, location, observer = final_settings or export.final, locate(storage), observer or Observer()
    folder = (output or location.output_folder("trained") / folder_for(export, final_settings)).absolute()
    study = _study_of(export, location)  # what is wrong with the storage is told before the training

    def told(epoch: int, accuracy: float | None) -> None:
        observer.on_final_epoch(epoch, final_settings.epochs, accuracy)

    def load() -> Dataset:
        return load_images(export.data.selection, data, observer.on_message)

    final = FinalTraining(export, final_settings, folder, load, told, observer.on_warning, stop).run()
    if study is not None:
        try:
            _record(study, final, location)
        except StorageError as error:
            observer.on_warning(f"The training is in {folder}, and not recorded with its campaign: {error}")
            return final, None
    return final, study.name if study else None


def final_settings_for(export: Export, **wanted: Any) -> FinalSettings:
    """Return the export's final settings with what is wanted otherwise, where it is not None; raise `UsageError`."""
    told = {**export.final.model_dump(), **{name: value for name, value in wanted.items() if value is not None}}
    try:
        return FinalSettings.model_validate(told)
    except ValidationError as error:
        raise UsageError(f"The final training cannot be so: {sentence(error, FinalSettings)}") from error


def _study_of(export: Export, location: Location) -> Study | None:
    """Return the study of the exported trial; None where the storage has no such campaign."""
    if not storage_exists(location):
        return None
    with closing(open_storage(location)) as storage:
        studies = find_studies(storage, export.campaign.name)
    if not studies or digest_of(campaign_of(studies)) != export.campaign.fingerprint:
        return None
    return studies.get(export.trial.study)


def _record(study: Study, final: FinalResult, location: Location) -> None:
    """Record a training with its trial's study, unless it is the campaign's own, which `run` records."""
    with closing(open_storage(location, writing=True)) as storage:
        own = read_final(find_studies(storage, study.attrs["campaign"]))
        if own is None or replace(own, folder="") != replace(final, folder=""):
            storage.set_study_attrs(study.id, {training_key(final): final.as_attr()})
