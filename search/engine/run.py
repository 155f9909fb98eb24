"""Runs a campaign to its end, from wherever it stands: stage after stage, then the final training."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from coarsefine.model.datasets import Dataset
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.engine.dask_cluster import DaskWorkers
from coarsefine.search.engine.stage_loop import StageLoop
from coarsefine.search.engine.winner_training import require_winner, train_winner
from coarsefine.search.engine.worker_pool import WorkerPool
from coarsefine.search.engine.worker_process import Task
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.status import Status, read_status, status_of
from coarsefine.search.results.study import find_studies, refuse_empty
from coarsefine.search.storage.location import Location, locate
from coarsefine.search.storage.opening import create_storage, open_storage, storage_exists
from coarsefine.search.training.identity import refuse_other
from coarsefine.search.training.workload import load_workload


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
    """Run a campaign to its end, or resume it from where it stands; return its final status.

    A campaign ends with its final training, or with its last stage if its objective is a user's function.

    `storage` is a SQLite file, or the URL of a SQLite or PostgreSQL database. `data` is the archive or folder of the
    images, for campaigns whose data set is not built in. With `workers=1` this process trains; with more, as many
    worker processes train, on this machine or on the Dask cluster at `engine`, `dask://HOST:PORT`. Worker processes
    import the calling script, so it needs the usual `if __name__ == "__main__":`. `stop` is called after every epoch;
    once it returns true, slots are released and `Interrupted` is raised.

    Raises `CampaignError` (2), `NothingCompleted` (3), `DataError` (4) and `StorageError` (5); the numbers are the exit
    codes of the command line. Nothing is created before campaign, data and storage have been checked.
    """
    observer = observer or Observer()
    location = locate(storage)
    if (finished := _finished_status(campaign, location)) is not None:
        return finished
    workload = load_workload(campaign, data, observer.on_message)
    with closing(create_storage(location)) as opened:
        loop = StageLoop(campaign, opened, workload, observer, stop)
        if workers == 1 and engine is None:
            loop.run_stages(back_up=True)
        else:
            task = _make_task(loop, data, workers)
            with DaskWorkers(task, engine, observer) if engine is not None else WorkerPool(task, observer) as pool:
                loop.watch_stages(pool, back_up=True)
        if campaign.objective is None:
            train_winner(loop)
        else:
            studies = loop.studies()
            refuse_empty(studies.values())
            require_winner(campaign, studies)
        return read_status(opened, campaign.name)


def _finished_status(campaign: Campaign, location: Location) -> Status | None:
    """Return the status of a finished campaign, without its data and whatever versions are installed; else None."""
    if not storage_exists(location):
        return None
    with closing(open_storage(location)) as storage:
        studies = find_studies(storage, campaign.name)
        refuse_other(studies, {"config": campaign.as_stored()})
        status = status_of(campaign.name, location.shown, studies, storage.queries.count_training) if studies else None
    return status if status is not None and status.state == "done" else None


def _make_task(loop: StageLoop, data: Path | None, workers: int) -> Task:
    return Task(
        campaign=loop.campaign,
        storage=loop.storage.location,
        data=data.absolute() if data else None,
        mapped_file=loop.workload.mapped_file if isinstance(loop.workload, Dataset) else None,
        workers=workers,
        logs=loop.storage.location.output_folder("logs") / loop.campaign.name,
        details=loop.observer.wants_detail,
    )
