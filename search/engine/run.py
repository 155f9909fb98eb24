"""Runs a campaign to its end, from wherever it stands: stage after stage, then the final training.

The winner is trained once, however many processes run the campaign.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path

from coarsefine.model.arithmetic import why_slow
from coarsefine.model.datasets import Dataset
from coarsefine.search.arguments import require, require_strings, whole_number
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.engine.dask_cluster import DaskWorkers
from coarsefine.search.engine.fresh_start import has_result, start_afresh
from coarsefine.search.engine.join import require_campaign
from coarsefine.search.engine.stage_loop import Pool, StageLoop
from coarsefine.search.engine.worker_pool import WorkerPool
from coarsefine.search.engine.worker_process import Task, end_in_import
from coarsefine.search.errors import StorageError, UsageError
from coarsefine.search.network.export import export_trial
from coarsefine.search.network.final_training import FinalTraining
from coarsefine.search.network.training_folder import TrainingFolder, folder_name
from coarsefine.search.results.campaign_studies import find_headers, find_studies
from coarsefine.search.results.commands import command
from coarsefine.search.results.final_result import read_final
from coarsefine.search.results.losses import refuse_edited
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.outcome import refuse_empty, require_winner
from coarsefine.search.results.status import Status
from coarsefine.search.results.status_reading import full_status_of, read_status
from coarsefine.search.results.study import Study
from coarsefine.search.results.trial_files import logs_folder
from coarsefine.search.standard_streams import fill_standard_streams
from coarsefine.search.storage.lease_renewal import renewed
from coarsefine.search.storage.location import Location, locate
from coarsefine.search.storage.opening import create_storage, open_storage, storage_exists
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.tables import FINAL_TRAINING, IDENTITY, OBJECTIVE
from coarsefine.search.training.identity import changed_settings, refuse_other
from coarsefine.search.training.images import Source
from coarsefine.search.training.user_code.code_change import change_of
from coarsefine.search.training.user_code.devices import VISIBLE, Gpus, divide_gpus
from coarsefine.search.training.user_code.source_advice import advice
from coarsefine.search.training.workload import ServedFunction, load_workload, serving


def run(  # noqa: PLR0913 - what a run can be given, by keyword
    campaign: Campaign,
    storage: str | Path | Location = "studies.db",
    *,
    data: Source | None = None,
    workers: int = 1,
    engine: str | None = None,
    gpus: Sequence[str] | None = None,
    observer: Observer | None = None,
    stop: Callable[[], bool] = lambda: False,
    accept_changes: bool = False,
) -> Status:
    """Run a campaign to its end, or resume it from where it stands; return its final status.

    A campaign ends with its final training, or with its last stage if its objective is a user's function.

    `storage` is a SQLite file, or the URL of a SQLite or PostgreSQL database. `data` is the file or folder of the
    images, for datasets that are read from one, or a `Dataset` for `dataset = "arrays"`. With `workers=1` this process
    trains; with more, as many worker processes train, on this machine or on the Dask cluster at `engine`,
    `dask://HOST:PORT`. Worker processes import the calling script, so it needs the usual `if __name__ == "__main__":`.
    `gpus` are those of this machine that the trials of user code may use, by index or UUID, as in
    `CUDA_VISIBLE_DEVICES`; the workers share them. By default they are all that are there, if the campaign has `gpus`.
    The final training runs in this process, with as many threads as there were workers on this machine.
    `stop` is called after every epoch; once it returns true, slots are released and `Interrupted` is raised. A campaign
    whose own code, or a version that decides its bits, has changed goes on only with `accept_changes`, which records
    the change.

    If half of a stage's trials or more have failed, the status says so (`mostly_failed` of the stage), and the command
    line ends with exit code 3.

    Raises `UsageError` and `CampaignError` (2), `NothingCompleted` and `RepeatedFailure` (3), `DataError` (4) and
    `StorageError` (5); the numbers are the exit codes of the command line. Nothing is created before campaign, data and
    storage have been checked. A campaign whose file was changed before any trial had a result starts again.
    """
    end_in_import()
    fill_standard_streams()
    workers = whole_number("run: workers", workers, 1)
    require_campaign("run", campaign, data, observer, stop)
    if engine is not None:
        require(isinstance(engine, str), "run: engine", engine, "the address of a Dask scheduler, dask://HOST:PORT")
    if gpus is not None:
        require_strings("run: gpus", gpus, 'a list of GPUs by index or UUID, such as ["0", "1"]')
    observer = observer or Observer()
    location = locate(storage)
    if (finished := _finished_status(campaign, location, observer.on_locked)) is not None:
        for note in finished.notes:
            observer.on_other_program(note)
        if change := change_of(finished.stages[0].attrs.get(OBJECTIVE), campaign.folder):
            observer.on_outdated(change.sentence(command("status", campaign.name, location), done=True))
        return finished
    shares = _divide_gpus(campaign, gpus, workers, engine)
    workload = load_workload(campaign, data, observer.on_message)
    if isinstance(workload, Dataset) and (reason := why_slow()):
        observer.on_warning(reason)
    for sentence in [] if isinstance(workload, Dataset) else advice(campaign, workload):
        observer.on_warning(sentence)
    with serving(workload), closing(create_storage(location)) as opened:
        start_afresh(opened, campaign, observer.on_message)
        gpus_here = shares[0] if shares else None
        loop = StageLoop(campaign, opened, workload, observer, stop, gpus=gpus_here, accept_changes=accept_changes)
        if any(opened.queries.count_training(study.id) for study in loop.initial_studies.values()):
            observer.on_message(f"Another run is at work on {campaign.name}: this one joins it.")
        with _pool(loop, data, workers, engine, shares) as pool:
            loop.run_stages(pool, back_up=True)
        if campaign.of_network:
            _train_winner(loop, threads=workers if engine is None else 1)  # no worker trains any more
        else:
            studies = loop.studies()
            refuse_empty(studies.values(), location)
            require_winner(campaign, studies, location)
        loop.others.say_studies(opened, campaign, loop.studies())
        return read_status(opened, campaign.name)


def _finished_status(campaign: Campaign, location: Location, say: Callable[[str], None]) -> Status | None:
    """Return the status of a finished campaign, without its data and whatever versions are installed; else None."""
    if not storage_exists(location):
        return None
    with closing(open_storage(location, say=say)) as storage:
        headers = find_headers(storage, campaign.name)
        refuse_edited(location, headers)
        if changed_settings(headers, campaign) and not has_result(find_studies(storage, campaign.name)):
            return None
        refuse_other(headers, {"config": campaign.as_stored()})
        if not _may_have_ended(storage, campaign, headers):
            return None  # before all trials are read
        studies = find_studies(storage, campaign.name)
        status = full_status_of(storage, campaign.name, studies) if studies else None
    return status if status is not None and status.state == "done" else None


def _may_have_ended(storage: Storage, campaign: Campaign, headers: Mapping[str, Study]) -> bool:
    """Return whether nothing is left to train, as far as is known without reading the trials."""
    if campaign.of_network and not any(FINAL_TRAINING in study.attrs for study in headers.values()):
        return False
    if not campaign.of_network and any(campaign.study_name(stage) not in headers for stage in campaign.stages):
        return False
    return not any(storage.queries.has_unfinished(study.id) for study in headers.values())


def _divide_gpus(
    campaign: Campaign, given: Sequence[str] | None, workers: int, engine: str | None
) -> list[Gpus] | None:
    """Return the GPUs of each worker; None if the campaign uses none, or if the nodes of a cluster have their own."""
    if engine is None:
        return divide_gpus(campaign, None if given is None else tuple(given), workers)
    if given is not None:
        raise UsageError(
            f"--gpus {','.join(given)} are those of this machine: with --engine, start each worker of the cluster with "
            f"its own {VISIBLE}."
        )
    return None


def _pool(
    loop: StageLoop, data: Source | None, workers: int, engine: str | None, gpus: list[Gpus] | None
) -> AbstractContextManager[Pool | None]:
    """Return the worker processes of a run, or None if this process trains."""
    if workers == 1 and engine is None:
        return nullcontext()
    if isinstance(loop.workload, ServedFunction):
        loop.workload.server.close()  # each worker has its own
    mapped_file = loop.workload.mapped_file if isinstance(loop.workload, Dataset) else None
    processes = min(workers, loop.most_at_once)
    if processes < workers:
        started = "1 worker process starts" if processes == 1 else f"{processes} worker processes start"
        loop.observer.on_message(f"{started} instead of {workers}: no stage has more trials left.")
    if isinstance(data, Path):
        data = data.absolute()
    elif mapped_file is not None and engine is None:  # workers map the file instead of receiving all images
        data = None
    task = Task(
        campaign=loop.campaign,
        storage=loop.storage.location,
        data=data,
        mapped_file=mapped_file,
        workers=processes,
        logs=logs_folder(loop.storage.location, loop.campaign.name),
        details=loop.observer.wants_detail,
        gpus=gpus,
    )
    if engine is not None:
        return DaskWorkers(task, engine, loop.observer)
    return WorkerPool(task, loop.observer, loop.stop)


def _train_winner(loop: StageLoop, threads: int) -> None:
    """Train the winner of all stages and record the result; wait if another process is training it.

    Raises `NothingCompleted` if there is no winner, and `Interrupted`.
    """
    storage = loop.storage
    study = loop.studies()[loop.campaign.study_name(loop.campaign.stages[-1])]
    lost = threading.Event()

    def renew() -> None:
        if not storage.once.acquire(study.id):
            lost.set()

    def train() -> None:
        if storage.once.acquire(study.id):
            try:
                with renewed(renew, storage.lease_seconds):  # from here on: images load and the trial is reproduced
                    _train_and_record(loop, lost.is_set, threads)
            finally:
                storage.once.release(study.id)

    def left() -> str:
        if storage.queries.lacks_attr(study.id, study.attrs.get(IDENTITY), FINAL_TRAINING):  # one row, twice a second
            return "the winner"
        return "the winner" if read_final(loop.studies()) is None else ""

    loop.work_until_done(train, left)


def _train_and_record(loop: StageLoop, lost: Callable[[], bool], threads: int) -> None:
    campaign, observer, studies = loop.campaign, loop.observer, loop.studies()
    if read_final(studies) is not None:  # the process that held the lock before this one has trained the winner
        return
    if any(not study.finished for study in studies.values()):
        raise UsageError("Trials were put back to be retried while the run ended: run the campaign again.")
    require_winner(campaign, studies, loop.storage.location)
    images = loop.workload
    assert isinstance(images, Dataset), "only a network is trained again"  # noqa: S101
    settings = campaign.network.final

    def on_epoch(epoch: int, accuracy: float | None) -> None:
        if lost():
            raise StorageError(
                "Another process took over the final training while this one was suspended. Run the same command "
                "again: it waits for that process and shows its result."
            )
        observer.on_final_epoch(epoch, settings.epochs, accuracy)

    observer.on_final_opened(campaign, read_status(loop.storage, campaign.name))
    export = export_trial(studies)
    trained = loop.storage.location.output_folder("trained").absolute()
    folder = TrainingFolder(trained / folder_name(export, settings))
    training = FinalTraining(
        export, settings, folder, lambda: images, on_epoch, observer.on_warning, loop.stop, threads
    )
    final = training.run().as_attr()
    study = loop.studies()[loop.campaign.study_name(loop.campaign.stages[-1])]
    loop.storage.set_study_attrs(study.id, {FINAL_TRAINING: final}, study.attrs.get(IDENTITY))
