"""What the live view shows of a campaign at one moment: the lineage as rows, the best so far, who has just ended."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from optuna.trial import TrialState

from coarsefine.search.campaign import labels
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.metric import ACCURACY, Metric
from coarsefine.search.campaign.schema import AnyStage
from coarsefine.search.campaign.space import Space
from coarsefine.search.results.progress import StageProgress, StageSnapshot, best_of
from coarsefine.search.results.status import StageStatus, Status, Trial
from coarsefine.search.storage.slots import FinishedTrial

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
    """How much of its work is done, 0 to 1."""
    left: int | None
    """Epochs still to be trained; None where they do not train as those before."""
    best: FinishedTrial | None = None
    value: float | None = None
    """Validation accuracy: of its best trial, or the newest of the final training."""
    seconds: float | None = None
    """How long it took, or will still take; None where that is not known."""
    ranges: str = ""
    notes: str = ""
    """How trials ended that did not complete."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A campaign at one moment. Moments are seconds of one clock."""

    campaign: str
    searched: tuple[str, ...]
    """The names of what is searched."""
    rows: tuple[Row, ...]
    began: float
    at: float
    """When it stood so."""
    best: tuple[str, FinishedTrial] | None
    """The best trial of all stages, and the name of its stage."""
    last: tuple[tuple[str, FinishedTrial], ...]
    """Trials that ended, the newest first, and the names of their stages."""
    workers: int | None
    """How many train, on whatever machine; None where one process trains the winner."""
    running: str
    """How far what is in training has come, in words."""
    rate: float | None
    """Epochs a second, counted for each trial."""
    epochs_per_trial: float | None
    """On average; None for the final training."""
    hint: str
    """The command that shows more."""
    metric: Metric = ACCURACY
    """What trials are judged by."""


def standing_row(campaign: Campaign, stage: AnyStage, status: StageStatus, took: float | None) -> Row:
    """Return a stage that is not in training: it is done, and took so many seconds, or its turn comes later."""
    ended = status.trials - status.waiting - status.running
    done = ended == status.trials
    notes = Counter(pruned=status.pruned, diverged=status.diverged, failed=status.failed)
    return Row(
        name=stage.name,
        mark="done" if done else "next",
        done=ended,
        total=status.trials,
        share=ended / status.trials,
        left=0 if done else campaign.halving(stage).epochs_of(status.trials, campaign.epochs_of(stage)),
        best=ending_of(status.best[0], campaign.epochs_of(stage)) if status.best else None,
        value=status.best[0].value if status.best else None,
        seconds=took,
        ranges=_ranges(status.space),
        notes=_told(notes),
    )


def moving_row(stage: StageProgress, snapshot: StageSnapshot) -> Row:
    """Return the stage that is in training."""
    endings = stage.endings
    best = None if stage.is_confirm else best_of(endings)  # of finalists means count, not one seed
    kinds = Counter(_kind(ending) for ending in endings if ending.state is not TrialState.COMPLETE)
    return Row(
        name=stage.stage,
        mark="now",
        done=snapshot.progress.ended,
        total=snapshot.progress.trials,
        share=1 - snapshot.left / stage.planned,
        left=snapshot.left,
        best=best,
        value=best.value if best is not None else None,
        ranges=_ranges(stage.space),
        notes=_told(kinds),
    )


def final_rows(campaign: Campaign, done: int, accuracy: float | None = None, *, begun: bool) -> list[Row]:
    """Return the final training, with its newest validation accuracy; nothing of a campaign that has none."""
    if campaign.final is None:
        return []
    mark: Mark = "now" if begun else "next"
    epochs = campaign.final.epochs
    left = epochs - done if begun else None
    return [Row("final training", mark, done, epochs, done / epochs, left, value=accuracy)]


def ending_of(trial: Trial, epochs: int) -> FinishedTrial:
    """Return a completed trial as it ended."""
    return FinishedTrial(trial.number, trial.point, TrialState.COMPLETE, trial.value, epochs, None)


def best_of_all(campaign: Campaign, status: Status, stage: StageProgress | None) -> tuple[str, FinishedTrial] | None:
    """Return the best trial of all stages, with its stage's name; of equal values, that of the earlier stage."""
    found: list[tuple[str, FinishedTrial]] = []
    if status.winner is not None:
        epochs = {s.name: campaign.epochs_of(s) for s in campaign.stage}
        found.append((status.winner.stage, ending_of(status.winner.trial, epochs[status.winner.stage])))
    if stage is not None and not stage.is_confirm and (best := best_of(stage.endings)) is not None:
        found.append((stage.stage, best))
    return max(found, key=lambda pair: pair[1].value or 0.0, default=None)


def timed(row: Row, rate: float | None) -> Row:
    """Return a row that is not done with the seconds it will still take, at so many epochs a second."""
    return row if row.mark == "done" or row.left is None or not rate else replace(row, seconds=row.left / rate)


def running(stage: StageProgress, snapshot: StageSnapshot) -> str:
    """Return how far the trials are that are in training, in words."""
    n = snapshot.progress.running
    if not n:
        return "no trial in training"
    leading = snapshot.progress.leading
    ahead = f", the best at {stage.campaign.metric.text(leading)}" if leading is not None else ""
    average = f"{snapshot.progress.epochs / n:.1f} of {stage.epochs} epochs"
    return f"{n} trial{'s' * (n != 1)} in training, on average {average}{ahead}"


def _kind(ending: FinishedTrial) -> str:
    return "pruned" if ending.state is TrialState.PRUNED else "diverged" if ending.diverged else "failed"


def _told(kinds: Counter[str]) -> str:
    order = ("pruned", "diverged", "failed")
    return ", ".join(f"{kinds[kind]} {kind}" for kind in order if kinds[kind])


def _ranges(space: Space | None) -> str:
    return labels.space_text(space) if space else ""
