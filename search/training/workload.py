"""What a campaign trains: the network on its images, or a user's function; and the objective that trains its slots."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

from coarsefine.model.datasets import Dataset, MappedFile
from coarsefine.model.datasets.kinds import PATH_KEY
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.sections import AnyStage, Confirm, Stage
from coarsefine.search.errors import CampaignError, UsageError
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.trial_files import trial_files
from coarsefine.search.storage.location import Location
from coarsefine.search.training.images import Source, load_images
from coarsefine.search.training.objective import NetworkObjective, Objective
from coarsefine.search.training.user_code.call import CallOptions
from coarsefine.search.training.user_code.function import Function
from coarsefine.search.training.user_code.function_call import CallSetup, FunctionCall
from coarsefine.search.training.user_code.trial_server import TrialServer
from coarsefine.search.training.user_code.user_objective import UserObjective


@dataclass(frozen=True, slots=True)
class ServedFunction(Function):
    """A user's function, with the server of the processes that call it."""

    server: TrialServer = field(kw_only=True, compare=False, repr=False)


Workload = Dataset | ServedFunction
_TIMEOUT = 86400.0
"""Most seconds between a function's reports, unless the campaign sets `timeout`."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""The environment variables that limit the threads of OpenMP and of each BLAS."""


def load_workload(
    campaign: Campaign, source: Source | None, say: Callable[[str], None], mapped_file: MappedFile | None = None
) -> Workload:
    """Return a campaign's images, as `load_images` does, or its function.

    Raises `CampaignError` if they do not fit the campaign, `coarsefine.model.errors.DataError` and `UsageError`.
    """
    if campaign.objective is not None:
        if source is not None:
            given = "the Dataset" if isinstance(source, Dataset) else f"--data {source}"
            raise UsageError(f"objective = '{campaign.objective}' has its own data: leave {given} out.")
        return _load_function(campaign, campaign.objective, say)
    images = load_images(campaign.network.data, _beside(campaign) if source is None else source, say, mapped_file)
    _check_batches(campaign, images)
    if campaign.network.model.mirror and len(images.shape) == 1:
        raise CampaignError(
            f"[model] mirror = true needs images with rows of pixels, and {images.name} has {images.shape[0]} features "
            "without a left and a right: leave mirror out."
        )
    return images


@contextmanager
def serving(workload: Workload) -> Iterator[None]:
    """End the processes of a user's function on leaving."""
    try:
        yield
    finally:
        if isinstance(workload, ServedFunction):
            workload.server.close()


def _load_function(campaign: Campaign, name: str, say: Callable[[str], None]) -> ServedFunction:
    server = TrialServer(name, campaign.folder, dict.fromkeys(THREADS, "1"))
    function = server.function
    try:
        _check_form(campaign, function)
    except CampaignError:
        server.close()
        raise
    if function.hidden is not None:
        place = f"{function.file}, since the Python path comes before {function.hidden}"
        say(f"objective = '{name}' is that of {place}.")
    return ServedFunction(**{each.name: getattr(function, each.name) for each in fields(function)}, server=server)


def _beside(campaign: Campaign) -> Path | None:
    """Return the `path` of `[data]` next to the campaign's file; None if it is in the working directory, or nowhere."""
    path = campaign.network.data.options.get(PATH_KEY)
    if path is None or campaign.folder is None or Path(path).exists():
        return None
    return found if (found := campaign.folder / path).exists() else None


def _check_form(campaign: Campaign, function: Function) -> None:
    if function.batched and campaign.resumable:
        raise CampaignError(
            f"resumable = true, but objective = '{function.name}' trains several trials at once: leave it out."
        )
    for stage in campaign.stage:
        if not function.batched and stage.stack not in {"auto", 1}:
            raise CampaignError(
                f"stage '{stage.name}': stack = {stage.stack}, but objective = '{function.name}' trains one trial at a "
                "time: leave stack out, or declare the function @coarsefine.batched."
            )


def _check_batches(campaign: Campaign, data: Dataset) -> None:
    images = len(data.train.y)
    for where, batch in campaign.largest_batches():
        if batch > images:
            raise CampaignError(
                f"{where} batch = {batch} is larger than the {images} training images of {data.name}: make it smaller."
            )


def objective_of(
    campaign: Campaign,
    stage: AnyStage,
    workload: Workload,
    observer: Observer,
    stop: Callable[[], bool],
    location: Location,
) -> Objective:
    """Return the objective that trains the slots of a stage of a campaign in this storage.

    The observer receives the tracebacks of a user's function as details.
    """
    if isinstance(workload, ServedFunction):
        return _function_objective(campaign, stage, workload, observer, stop, location)
    # In the confirmation a slot's seed draws the mini-batches, too; the finalists of one seed train together.
    return NetworkObjective(
        campaign.training_settings(stage), campaign.network.model.fixed, workload, isinstance(stage, Confirm)
    )


def _function_objective(
    campaign: Campaign,
    stage: AnyStage,
    function: ServedFunction,
    observer: Observer,
    stop: Callable[[], bool],
    location: Location,
) -> UserObjective:
    epochs = campaign.epochs_of(stage)
    options = CallOptions(
        epochs=epochs,
        timeout=campaign.timeout or _TIMEOUT,
        stop=stop,
        on_detail=observer.on_detail,
        on_warning=observer.on_warning,
        resumable=campaign.resumable,
        may_return_early=function.form == "optuna",
    )
    setup = CallSetup(
        campaign=campaign.name,
        stage=stage.name,
        form=function.form,
        epochs=epochs,
        metric=campaign.metric.name,
        recycle=campaign.recycle,
        space=campaign.bounds_of(stage if isinstance(stage, Stage) else campaign.stage[0]),
        environment={},
        files_of=lambda number: trial_files(location, campaign.name, stage.name, number),
    )
    return UserObjective(options, partial(FunctionCall, function.server, setup), function.batched)
