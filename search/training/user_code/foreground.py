"""One trial of the user's function in this process, to look at: its output is seen, and a debugger can be used.

Nothing is stored. The trial has the point and the seed of the first trial of a stage, unless others are given.
"""

import json
import math
import os
import sys
import tempfile
import time
from bdb import BdbQuit
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.dimension import Choice, Dimension, Integer, Value
from coarsefine.search.campaign.sections import Stage
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.campaign.words import counted
from coarsefine.search.errors import Interrupted, NothingCompleted, UsageError
from coarsefine.search.results.stage_opening import first_slot
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.user_code.channel import Channel, Message
from coarsefine.search.training.user_code.devices import trial_environment
from coarsefine.search.training.user_code.epochs_remedy import CodeForm, EpochsRemedy
from coarsefine.search.training.user_code.failures import description_of
from coarsefine.search.training.user_code.function import Form, load_function
from coarsefine.search.training.user_code.function_call import trial_variables
from coarsefine.search.training.user_code.report import Planned, Reporter
from coarsefine.search.training.user_code.source_advice import advice
from coarsefine.search.training.user_code.trial_process import invoke, seed_generators
from coarsefine.search.training.user_code.values import Judged

OnReport = Callable[[int, Judged], None]
"""Called with the number of an epoch and what was reported."""


@dataclass(frozen=True, slots=True)
class Tried:
    """How a trial ended."""

    last: Judged
    """Its value, and its further metrics."""
    reports: int
    seconds: float
    folder: Path | None
    """The trial's folder; None if it has left nothing there."""
    notes: Sequence[str] = ()
    """Sentences about what a run of the campaign would make of the code."""
    form: CodeForm = "command"


def stage_to_try(campaign: Campaign, name: str | None) -> Stage:
    """Return a search stage by its name, by default the first one.

    Raises `UsageError` if there is none, or if the campaign trains the built-in network.
    """
    if campaign.of_network:
        raise UsageError(f"{campaign.name} has no code of yours to try: start it with `coarsefine run`.")
    found = [stage for stage in campaign.stage if name in {None, stage.name}]
    if not found:
        raise UsageError(f"{campaign.name} has no stage {name!r}: it has {', '.join(s.name for s in campaign.stage)}.")
    return found[0]


def slot_to_try(campaign: Campaign, stage: Stage, changes: Sequence[str], seed: int | None) -> Slot:
    """Return the first trial of a stage, with changes of its point (`lr=0.01`), and with another seed if it is given.

    Of a narrowed stage, the point is drawn from the ranges that the campaign gives. Raises `UsageError` for a change
    that cannot be.
    """
    slot, space = first_slot(campaign, stage), campaign.bounds_of(stage)
    point = Point.of({**slot.point, **dict(_assignment(space, text) for text in changes)})
    return replace(slot, point=point, seed=slot.seed if seed is None else seed)


def try_trial(campaign: Campaign, stage: Stage, slot: Slot, on_report: OnReport) -> Tried:
    """Call the campaign's function for one trial; return how it ended.

    Raises `NothingCompleted` if it failed, with its traceback in `__notes__`, `CampaignError` if the function cannot be
    loaded, and `UsageError` for a value of an Optuna objective outside its range.
    """
    assert campaign.objective is not None, "the campaign has a function"  # noqa: S101
    epochs = campaign.epochs_of(stage)
    with trial_folder() as folder:
        planned = Planned(slot.number, slot.point.as_dict(), slot.seed, attempt=1, folder=folder)
        variables = trial_environment(campaign, stage, None)
        variables |= trial_variables(campaign.name, stage.name, epochs, [planned])
        with _environment(variables), threadpool_limits(campaign.threads or 1):
            function, call = load_function(campaign.objective, campaign.folder)
            if function.form == "optuna":
                _check_ranges(campaign.bounds_of(stage), slot.point)
            reporter = Reporter(_Here(on_report), [planned], campaign.metric.name, function.batched, epochs)
            seed_generators(slot.seed)
            started = time.monotonic()
            returned = _called(function.form, call, reporter, campaign.bounds_of(stage))
    last, seconds = _last(returned, reporter), time.monotonic() - started
    notes = [*advice(campaign, function)]
    return Tried(last, reporter.count, seconds, folder if folder.exists() else None, notes, function.form)


@contextmanager
def trial_folder() -> Iterator[Path]:
    """Make a temporary folder for a trial's files; it stays if something is in it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="coarsefine-try-"))
    try:
        yield folder
    finally:
        with suppress(OSError):
            folder.rmdir()


def _called(form: Form, call: Callable[..., Any], reporter: Reporter, space: Space) -> Any:
    """Call the function; return what it returns, None if it has pruned its trial."""
    try:
        return invoke(form, call, reporter, space)
    except BdbQuit as quit_:
        raise Interrupted("The debugger was left.") from quit_
    except NothingCompleted:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, getattr(sys.modules.get("optuna"), "TrialPruned", ())):
            return None
        found = description_of(error, dict(reporter.trials[0].point))
        failed = NothingCompleted(f"The trial failed: {found.reason.rstrip('.')}.")
        failed.add_note(found.detail)
        raise failed from error


def _check_ranges(space: Space, point: Point) -> None:
    """Raise `UsageError` for a value outside its range, which the `suggest` calls of an Optuna objective may refuse."""
    for name, value in point.items():
        if not space[name].contains(value):
            raise UsageError(
                f"--point {name}={value}: {name} is {space[name].kind}, {space[name].text}: an Optuna "
                "objective takes no other value: choose one in that range, or change the range in the campaign file."
            )


def _last(returned: object, reporter: Reporter) -> Judged:
    """Return what the trial came to: what the function returned, or else its last report."""
    channel = reporter.channel
    assert isinstance(channel, _Here), "try_trial has made it"  # noqa: S101
    if returned is None and channel.last is not None:
        return channel.last
    return _judged(reporter.judged(returned, max(reporter.count, 1)))


def _judged(message: Message) -> Judged:
    """Return the value of the one trial in a message; raise `NothingCompleted` for one that fails the trial."""
    failure = message["failure"]
    judged = Judged(failure=failure) if failure is not None else Judged.from_dict(message["judged"][0])
    if judged.failure is not None:
        raise NothingCompleted(f"The trial failed: {judged.failure}.")
    return judged


class _Here(Channel):
    """Takes the reports in this process, and lets the trial go on after each."""

    def __init__(self, on_report: OnReport) -> None:
        self._on_report = on_report
        self.last: Judged | None = None

    def send(self, message: Message) -> None:
        """Take a report; raise `NothingCompleted` for one that ends the trial."""
        self.last = _judged(message)
        self._on_report(message["epoch"], self.last)

    def receive(self, seconds: float | None = None) -> Message:  # noqa: ARG002 - the answer is there at once
        """Return the answer to a report."""
        return {"kind": "continue", "positions": [0]}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def notes_on(campaign: Campaign, stage: Stage, tried: Tried) -> list[str]:
    """Return sentences about what a run would make of the code: its reports, and what its source shows."""
    epochs, remedy = campaign.epochs_of(stage), EpochsRemedy.of(campaign, stage, tried.form)
    if tried.reports in {epochs, epochs - 1}:
        return [*tried.notes]
    if tried.reports < epochs:
        return [f"It {remedy.ended_after(tried.reports)}.", *tried.notes]
    made = counted(tried.reports, "report")
    return [f"It made {made}, and {remedy.due}: {remedy.instead(tried.reports)}.", *tried.notes]


def _assignment(space: Space, text: str) -> tuple[str, Value]:
    """Return the parameter and the value in `lr=0.01`; a finite number may lie outside the range."""
    name, equals, written = text.partition("=")
    if not equals:
        raise UsageError(f"--point {text!r} has no value: write NAME=VALUE.")
    if name not in space:
        raise UsageError(f"--point {text!r}: there is no parameter {name!r}, only {', '.join(space)}.")
    try:
        return name, _read(space[name], written)
    except ValueError as error:
        raise UsageError(f"--point {text!r}: {name} is {space[name].kind}, {space[name].text}.") from error


def _read(dimension: Dimension, written: str) -> Value:
    if isinstance(dimension, Choice):
        forms = {form: option for option in dimension.options for form in (str(option), json.dumps(option))}
        if written not in forms:
            raise ValueError(written)
        return forms[written]
    if isinstance(dimension, Integer):
        return int(written)
    if not math.isfinite(value := float(written)):
        raise ValueError(written)
    return value
