"""What a campaign trains: the network on its images, or a user's function; and the objective that trains its slots."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

from coarsefine.model.datasets import Dataset, MappedFile
from coarsefine.model.datasets.kinds import PATH_KEY
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.declared_packages import installed_versions
from coarsefine.search.campaign.sections import AnyStage, Confirm, Stage
from coarsefine.search.errors import CampaignError, UsageError
from coarsefine.search.results.observer import Observer
from coarsefine.search.results.trial_files import trial_files
from coarsefine.search.storage.location import Location
from coarsefine.search.training.images import Source, load_images
from coarsefine.search.training.objective import NetworkObjective, Objective
from coarsefine.search.training.user_code.call import CallOptions
from coarsefine.search.training.user_code.command import Command, load_command
from coarsefine.search.training.user_code.command_call import CommandCall, CommandSetup
from coarsefine.search.training.user_code.command_reports import reader_of
from coarsefine.search.training.user_code.devices import Gpus, thread_limits, trial_environment
from coarsefine.search.training.user_code.epochs_remedy import EpochsRemedy
from coarsefine.search.training.user_code.function import Function
from coarsefine.search.training.user_code.function_call import CallSetup, FunctionCall
from coarsefine.search.training.user_code.trial_server import TrialServer
from coarsefine.search.training.user_code.user_objective import UserObjective


@dataclass(frozen=True, slots=True)
class ServedFunction(Function):
    """A user's function, with the server of the processes that call it."""

    server: TrialServer = field(kw_only=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ServedCommand(Command):
    """A user's command, with the server of the processes that become it."""

    server: TrialServer = field(kw_only=True, compare=False, repr=False)


Workload = Dataset | ServedFunction | ServedCommand
_TIMEOUT = 86400.0
"""Most seconds between a function's reports, unless the campaign sets `timeout`."""
_GRACE = 10.0
"""Seconds from SIGTERM to SIGKILL for a command, unless the campaign sets `grace`."""


def load_workload(
    campaign: Campaign, source: Source | None, say: Callable[[str], None], mapped_file: MappedFile | None = None
) -> Workload:
    """Return a campaign's images, as `load_images` does, or its function or command.

    Raises `CampaignError` if they do not fit the campaign or a package that it declares is missing,
    `coarsefine.model.errors.DataError` and `UsageError`.
    """
    installed_versions(campaign.package_names or ())  # before the user's code is imported, and anything is created
    if campaign.objective is not None:
        if source is not None:
            given = "the Dataset" if isinstance(source, Dataset) else f"--data {source}"
            raise UsageError(f"objective = '{campaign.objective}' has its own data: leave {given} out.")
        return _load_function(campaign, campaign.objective, say)
    if campaign.command is not None:
        if source is not None:
            raise UsageError("The campaign's command has its own data: leave --data out.")
        return _load_command(campaign, campaign.command)
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
    """End the processes of user code on leaving."""
    try:
        yield
    finally:
        if isinstance(workload, ServedFunction | ServedCommand):
            workload.server.close()


def _load_function(campaign: Campaign, name: str, say: Callable[[str], None]) -> ServedFunction:
    server = TrialServer(name, campaign.folder, thread_limits(1))  # others would be lost in a fork
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


def _load_command(campaign: Campaign, words: Sequence[str]) -> ServedCommand:
    for stage in campaign.stage:
        if stage.stack not in {"auto", 1}:
            raise CampaignError(
                f"stage '{stage.name}': stack = {stage.stack}, but a command trains one trial at a time: leave it out."
            )
    command = load_command(words, campaign.folder)
    server = TrialServer(None, None, thread_limits(campaign.threads or 1))
    return ServedCommand(**{each.name: getattr(command, each.name) for each in fields(command)}, server=server)


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
    gpus: Gpus | None = None,
) -> Objective:
    """Return the objective that trains the slots of a stage of a campaign in this storage.

    The observer receives the tracebacks of a user's function as details. `gpus` are those of this process's trials, by
    default those that the process sees.
    """
    if not isinstance(workload, Dataset):
        return _user_objective(campaign, stage, workload, observer, stop, location, gpus)
    # In the confirmation a slot's seed draws the mini-batches, too; the finalists of one seed train together.
    return NetworkObjective(
        campaign.training_settings(stage), campaign.network.model.fixed, workload, isinstance(stage, Confirm)
    )


def _user_objective(
    campaign: Campaign,
    stage: AnyStage,
    code: ServedFunction | ServedCommand,
    observer: Observer,
    stop: Callable[[], bool],
    location: Location,
    gpus: Gpus | None,
) -> UserObjective:
    epochs = campaign.epochs_of(stage)
    options = CallOptions(
        epochs=epochs,
        timeout=campaign.timeout or _TIMEOUT,
        stop=stop,
        on_detail=observer.on_detail,
        on_warning=observer.on_warning,
        resumable=campaign.resumable,
        rungs=campaign.pruning(stage).rungs,
        may_return_early=code.form == "optuna",
        remedy=(remedy := EpochsRemedy.of(campaign, stage, code.form)),
    )
    setup = CallSetup(
        campaign=campaign.name,
        stage=stage.name,
        form=code.form,
        epochs=epochs,
        metric=campaign.metric.name,
        recycle=campaign.recycle,
        space=campaign.bounds_of(stage if isinstance(stage, Stage) else campaign.stage[0]),
        environment=trial_environment(campaign, stage, gpus),
        files_of=lambda number: trial_files(location, campaign.name, stage.name, number),
    )
    if isinstance(code, ServedFunction):
        return UserObjective(options, partial(FunctionCall, code.server, setup), code.batched)
    grace = _GRACE if campaign.grace is None else campaign.grace
    own = CommandSetup(code, reader_of(campaign.parse, setup.metric), campaign.parse, grace, remedy)
    return UserObjective(options, lambda slots: CommandCall(code.server, setup, own, slots[0]))
