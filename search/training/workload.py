"""What a campaign trains: the network on its images, or a user's function; and the objective that trains its slots."""

from collections.abc import Callable
from pathlib import Path

from coarsefine.model.datasets import Dataset, MappedFile
from coarsefine.model.datasets.kinds import PATH_KEY
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.sections import AnyStage, Confirm
from coarsefine.search.errors import CampaignError, UsageError
from coarsefine.search.results.observer import Observer
from coarsefine.search.training.images import Source, load_images
from coarsefine.search.training.objective import NetworkObjective, Objective
from coarsefine.search.training.user_code.function import Function, load_function
from coarsefine.search.training.user_code.function_call import CallOptions
from coarsefine.search.training.user_code.source_file import hidden_source, own_folders
from coarsefine.search.training.user_code.user_objective import UserObjective

Workload = Dataset | Function
_TIMEOUT = 86400.0
"""Most seconds between a function's reports, unless the campaign sets `timeout`."""


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
        function = load_function(campaign.objective, campaign.folder)
        _check_stacks(campaign, function)
        if (hidden := hidden_source(function.module_name, own_folders(campaign.folder))) is not None:
            place = f"{function.file}, since the Python path comes before {hidden}"
            say(f"objective = '{function.name}' is that of {place}.")
        return function
    images = load_images(campaign.network.data, _beside(campaign) if source is None else source, say, mapped_file)
    _check_batches(campaign, images)
    if campaign.network.model.mirror and len(images.shape) == 1:
        raise CampaignError(
            f"[model] mirror = true needs images with rows of pixels, and {images.name} has {images.shape[0]} features "
            "without a left and a right: leave mirror out."
        )
    return images


def _beside(campaign: Campaign) -> Path | None:
    """Return the `path` of `[data]` next to the campaign's file; None if it is in the working directory, or nowhere."""
    path = campaign.network.data.options.get(PATH_KEY)
    if path is None or campaign.folder is None or Path(path).exists():
        return None
    return found if (found := campaign.folder / path).exists() else None


def _check_stacks(campaign: Campaign, function: Function) -> None:
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
    campaign: Campaign, stage: AnyStage, workload: Workload, observer: Observer, stop: Callable[[], bool]
) -> Objective:
    """Return the objective that trains the slots of a stage.

    The observer receives the tracebacks of a user's function as details.
    """
    if isinstance(workload, Function):
        epochs, timeout = campaign.epochs_of(stage), campaign.timeout or _TIMEOUT
        return UserObjective(workload, CallOptions(epochs, timeout, stop, observer.on_detail, observer.on_warning))
    # In the confirmation a slot's seed draws the mini-batches, too; the finalists of one seed train together.
    return NetworkObjective(
        campaign.training_settings(stage), campaign.network.model.fixed, workload, isinstance(stage, Confirm)
    )
