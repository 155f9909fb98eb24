"""What the live view shows of a campaign at one moment: a row for each stage, the best trial, the last finished."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from optuna.trial import TrialState

from coarsefine.search.campaign import labels
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.metric import ACCURACY, Metric
from coarsefine.search.campaign.sections import AnyStage
from coarsefine.search.campaign.words import counted
from coarsefine.search.results.progress import StageProgress, StageSnapshot, best_of
from coarsefine.search.results.status import StageStatus, Status, Trial
from coarsefine.search.results.time_left import seconds_left
from coarsefine.search.storage.slots import FinishedTrial
from coarsefine.search.terminal.status_tables import trouble_style

Mark = Literal["done", "now", "next"]


@dataclass(frozen=True, slots=True)
class Row:
    """A stage, or the final training."""

    name: str
    mark: Mark
    done: int
    total: int
    """Trials, or epochs of the final training."""
    share: float
    """Share of the work that is done, 0 to 1."""
    left: int | None
    """Epochs still to be trained; None if their speed cannot be known from the epochs before."""
    best: FinishedTrial | None = None
    value: float | None = None
    """The best trial's value, or the newest validation accuracy of the final training."""
    seconds: float | None = None
    """Time taken, or still needed; None if unknown."""
    ranges: str = ""
    notes: str = ""
    """Counts of the trials that did not complete."""
    trouble: str | None = None
    """The colour of a stage that is done, if trials of it failed."""


@dataclass(frozen=True, slots=True)
class LiveState:
    """A campaign at one moment. Moments are seconds of one clock."""

    campaign: str
    parameters: tuple[str, ...]
    """Names of the searched hyperparameters."""
    rows: tuple[Row, ...]
    started: float
    updated: float
    """When the state was read."""
    best: tuple[str, FinishedTrial] | None
    """Name of the stage and the best trial of all stages."""
    finished: tuple[tuple[str, FinishedTrial], ...]
    """Names of the stages and finished trials, the newest first."""
    workers: int | None
    """Number of workers on all machines; None during the final training, which one process does."""
    training: str
    """Progress of what is in training, in words."""
    rate: float | None
    """Epochs per second, summed over trials."""
    epochs_per_trial: float | None
    """Mean number of epochs of a trial; None for the final training."""
    hint: str
    """Command that shows more."""
    metric: Metric = ACCURACY
    best_is_winner: bool = False
    """Whether `best` is the winner that was chosen among the finalists."""


def idle_row(campaign: Campaign, stage: AnyStage, status: StageStatus, took: float | None) -> Row:
    """Return the row of a stage that is not in training: it is done and took `took` seconds, or it comes later."""
    finished = status.trials - status.waiting - status.running
    done = finished == status.trials
    confirms = "finalists" in status.attrs  # its space is what the finalists span
    return Row(
        name=stage.name,
        mark="done" if done else "next",
        done=finished,
        total=status.trials,
        share=finished / status.trials,
        left=0 if done else campaign.pruning(stage).epochs_of(status.trials),
        best=_as_finished(status.best[0], campaign.epochs_of(stage)) if status.best else None,
        value=status.best[0].value if status.best else None,
        seconds=took,
        ranges=labels.space_text(status.space, campaign.metric) if status.space and not confirms else "",
        notes=_notes(Counter(pruned=status.pruned, diverged=status.diverged, failed=status.failed)),
        trouble=trouble_style([status]),
    )


def active_row(stage: StageProgress, snapshot: StageSnapshot) -> Row:
    """Return the row of the stage that is in training."""
    finished = stage.finished
    direction = stage.campaign.metric.direction
    best = best_of(finished, direction) if stage.is_search else None  # finalists are compared by means over all seeds
    return Row(
        name=stage.stage_name,
        mark="now",
        done=snapshot.progress.ended,
        total=snapshot.progress.trials,
        share=1 - snapshot.left / stage.planned,
        left=snapshot.left,
        best=best,
        value=best.value if best is not None else None,
        ranges=labels.space_text(stage.space, stage.campaign.metric) if stage.is_search else "",
        notes=_notes(Counter(_kind(trial) for trial in finished if trial.state is not TrialState.COMPLETE)),
    )


def final_rows(campaign: Campaign, done: int, accuracy: float | None = None, *, started: bool) -> list[Row]:
    """Return the row of the final training and its newest accuracy; an empty list if the campaign has none."""
    if not campaign.of_network or campaign.final is None:
        return []
    mark: Mark = "now" if started else "next"
    epochs = campaign.final.epochs
    left = epochs - done if started else None
    return [Row("final training", mark, done, epochs, done / epochs, left, value=accuracy)]


def with_seconds(row: Row, rate: float | None) -> Row:
    """Return an unfinished row with the seconds it still needs at `rate` epochs per second."""
    if row.mark == "done" or not row.left:  # none is left though it is not done: more was trained than planned
        return row
    return replace(row, seconds=seconds_left(row.left, rate))


def best_of_all(campaign: Campaign, status: Status, stage: StageProgress | None) -> tuple[str, FinishedTrial] | None:
    """Return the best trial of all stages and its stage's name; of equal values, the one of the earlier stage."""
    found: list[tuple[str, FinishedTrial]] = []
    direction = campaign.metric.direction
    if status.winner is not None:
        epochs = {s.name: campaign.epochs_of(s) for s in campaign.stage}
        found.append((status.winner.stage, _as_finished(status.winner, epochs[status.winner.stage])))
    if stage is not None and stage.is_search and (best := best_of(stage.finished, direction)) is not None:
        found.append((stage.stage_name, best))
    return min(found, key=lambda pair: direction.key(pair[1].value or 0.0), default=None)


def training_progress(stage: StageProgress, snapshot: StageSnapshot) -> str:
    """Return how far the trials in training have come, in words."""
    n = snapshot.progress.running
    if not n:
        return "no trial in training"
    leading = snapshot.progress.leading
    best = f", the best at {stage.campaign.metric.text(leading)}" if leading is not None else ""
    average = f", on average {snapshot.progress.epochs / n:.1f} of {stage.epochs} epochs" if stage.epochs > 1 else ""
    return f"{counted(n, 'trial')} in training{average}{best}"


def _as_finished(trial: Trial, epochs: int) -> FinishedTrial:
    return FinishedTrial(trial.number, trial.point, TrialState.COMPLETE, trial.value, epochs, None)


def _kind(trial: FinishedTrial) -> str:
    return "pruned" if trial.state is TrialState.PRUNED else "diverged" if trial.diverged else "failed"


def _notes(kinds: Counter[str]) -> str:
    return ", ".join(f"{kinds[kind]} {kind}" for kind in ("pruned", "diverged", "failed") if kinds[kind])
