"""Runs a campaign to its end, from wherever it stands: stage after stage, then the final training."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol

from coarsefine.model.datasets import Dataset
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.schema import AnyStage
from coarsefine.search.engine.dask_cluster import Cluster
from coarsefine.search.engine.pool import Pool
from coarsefine.search.engine.pool_worker import Task
from coarsefine.search.engine.stage_loop import StageLoop
from coarsefine.search.errors import Interrupted, NothingCompleted, StorageError
from coarsefine.search.network.artifacts import folder_for
from coarsefine.search.network.export import export_winner
from coarsefine.search.network.final_training import FinalTraining
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.status import (
    Status,
    Winner,
    find_winner,
    read_final,
    read_status,
    status_of,
)
from coarsefine.search.results.study import Study, find_studies, refuse_empty, remedy, verdict_of
from coarsefine.search.storage.location import Location, locate
from coarsefine.search.storage.optuna_storage import create_storage, open_storage, storage_exists
from coarsefine.search.training.identity import refuse_other
from coarsefine.search.training.workload import load_workload

_LOOK_SECONDS = 0.25
"""Between looks at how far the workers have come."""


def run(
    campaign: Campaign,
    storage: str | Path | Location = "studies.db",
    *,
    data: Path | None = None,
    workers: int = 1,
    engine: str | None = None,
    observer: Observer | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Status:
    """Take a campaign to its end and return how it stands; begin it, or resume it where it was left.

    `storage` is a SQLite file, or the URL of one or of a PostgreSQL database. `data` is the archive or folder of the
    images, for campaigns that do not bring their own. One worker is this process; more are processes of their own, on
    this machine or on the cluster of an `engine`, `dask://HOST:PORT`. `stop` is asked after every epoch; once it is
    true, slots go back and `Interrupted` is raised. With several workers, a script needs Python's usual
    `if __name__ == "__main__":` around what it does, since each worker imports it.

    A campaign with an objective of the user's is at its end with its last stage, and others after the final training.

    Raises `CampaignError` (2), `NothingCompleted` (3), `DataError` (4), `StorageError` (5): the exit codes
    of the command line. Nothing is created before campaign, data and storage were found fit.
    """
    observer = observer or Observer()
    location = locate(storage)
    if (done := _done(campaign, location)) is not None:
        return done
    workload = load_workload(campaign, data, observer.on_message)
    opened = create_storage(location)
    try:
        loop = StageLoop.begin(campaign, opened, workload, observer, stop)
        if workers == 1 and engine is None:
            loop.take_stages(on_end=partial(_back_up, loop))
        else:
            logs = location.output_folder("logs") / campaign.name
            source = data.absolute() if data else None
            kept = workload.kept if isinstance(workload, Dataset) else None
            task = Task(campaign, location, source, kept, workers, logs, observer.wants_detail)
            with Cluster(task, engine, observer) if engine is not None else Pool(task, observer) as crew:
                _take_stages(loop, crew)
        if campaign.objective is None:
            _train_winner(loop)
        else:
            refuse_empty(loop.studies().values())
            _winner_of(campaign, loop.studies())
        return read_status(opened, campaign.name)
    finally:
        opened.close()


def _done(campaign: Campaign, location: Location) -> Status | None:
    """Return how a campaign stands with nothing left to do; data and versions need not be at hand any more for that."""
    if not storage_exists(location):
        return None
    with closing(open_storage(location)) as storage:
        studies = find_studies(storage, campaign.name)
        refuse_other(studies, {"config": campaign.fingerprint()})
        status = status_of(campaign.name, location.shown, studies, storage.count_training) if studies else None
    return status if status is not None and status.state == "done" else None


class _Crew(Protocol):
    """Workers elsewhere, who take the stages to their end."""

    def wait(self, seconds: float) -> None:
        """Wait until something happens to a worker, at most so long; mend it, or raise what cannot be mended."""


def _take_stages(loop: StageLoop, crew: _Crew) -> None:
    """Look on until workers have taken every stage to its end."""
    for stage in loop.campaign.stages:
        if loop.had_ended(stage):
            continue
        study, studies = loop.open(stage)
        following = loop.follow(stage, study, studies)
        while loop.storage.count_unfinished(study.id):
            if loop.stop():
                raise Interrupted("Stopped while workers train.")
            crew.wait(_LOOK_SECONDS)
            loop.observer.on_progress(following)
        loop.observer.on_progress(following)
        loop.forget_checkpoints(study)
        _back_up(loop, stage)


def _back_up(loop: StageLoop, stage: AnyStage) -> None:
    """Copy the studies; for want of room nobody stops training."""
    try:
        loop.storage.back_up(f"{loop.campaign.name}+{stage.name}")
    except StorageError as error:
        loop.observer.on_warning(f"There is no backup of stage {stage.name}. {error}")


def _train_winner(loop: StageLoop) -> None:
    """Train the best trial of all stages to the end, unless another process does or did."""
    last = loop.open(loop.campaign.stages[-1])[0].id
    said = False
    while read_final(loop.studies()) is None:
        if loop.storage.acquire_once(last):
            try:
                _train_and_record(loop, last)
            finally:
                loop.storage.release_once(last)
            continue
        if not said:
            loop.observer.on_message("Another process trains the winner: waiting for it.")
            said = True
        if loop.stop():
            raise Interrupted("Stopped while another process trains the winner.")
        time.sleep(_LOOK_SECONDS)


def _train_and_record(loop: StageLoop, last: int) -> None:
    campaign, studies = loop.campaign, loop.studies()
    if read_final(studies) is not None:  # by whoever had the right a moment ago
        return
    _winner_of(campaign, studies)
    assert isinstance(loop.workload, Dataset), "and images"  # noqa: S101
    final_settings = campaign.final_settings

    held = time.monotonic()

    def told(epoch: int, accuracy: float | None) -> None:
        nonlocal held
        if time.monotonic() > held + loop.storage.lease_seconds / 4:
            held = time.monotonic()
            if not loop.storage.acquire_once(last):
                raise StorageError(
                    "Another process has taken over the final training, since this one slept: see there."
                )
        loop.observer.on_final_epoch(epoch, final_settings.epochs, accuracy)

    loop.observer.on_final_opened(campaign, read_status(loop.storage, campaign.name))
    export = export_winner(studies)
    folder = loop.storage.location.output_folder("trained").absolute() / folder_for(export, final_settings)
    images = loop.workload
    final = FinalTraining(
        export, final_settings, folder, lambda: images, told, loop.observer.on_warning, loop.stop
    ).run()
    loop.storage.set_study_attrs(last, {"final": final.as_attr()})


def _winner_of(campaign: Campaign, studies: Mapping[str, Study]) -> Winner:
    """Return the winner of stages that have ended; raise `NothingCompleted` where there is none."""
    verdict = verdict_of(studies.values())
    winner = find_winner(studies, verdict)
    if verdict is not None and winner is None:
        raise NothingCompleted(
            f"{verdict.words} Lower the upper bound of eta, or [confirm] seeds, and start under another name."
        )
    if winner is None:
        endings = "; ".join(f"{study.name}: {study.endings}" for study in studies.values())
        raise NothingCompleted(f"No trial of {campaign.name} completed ({endings}). {remedy(studies.values())}")
    return winner
