"""The progress of a stage in training, read repeatedly from the storage."""

import itertools
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from optuna.trial import FrozenTrial, TrialState

from coarsefine.model.errors import ExtensionError
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.sections import AnyStage
from coarsefine.search.errors import CampaignError
from coarsefine.search.results.study import Study, in_order_of_end, point_of
from coarsefine.search.results.time_left import epochs_left, recorded_rate, seconds_left
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.slots import FinishedTrial
from coarsefine.search.storage.study_queries import Progress
from coarsefine.search.storage.trial_reader import without_collector

_PACE = 10
_QUICK_SECONDS = 0.02
"""A report that takes no longer may come as often as it likes."""
_LONGEST_PAUSE = 5.0
"""Most seconds between reports, also if one has waited for the database, or this process was suspended within it."""


@dataclass(frozen=True, slots=True)
class StageSnapshot:
    """A stage at one moment."""

    progress: Progress
    new: tuple[FinishedTrial, ...]
    """Trials that finished since the last snapshot, in the order in which they did."""
    trained: int
    """Epochs recorded, summed over all trials."""
    left: int
    """Epochs still to be trained, if no further trial fails."""


class StageProgress:
    """The progress of a stage's study. `before` is the study when this process came, or None if it did not exist."""

    def __init__(
        self, storage: Storage, study: Study, campaign: Campaign, stage: AnyStage, before: Study | None = None
    ) -> None:
        self.campaign, self.stage_name, self.study_name, self.space = campaign, stage.name, study.name, study.space
        self.is_search = study.is_search
        self._storage, self._id, self._pruning = storage, study.id, campaign.pruning(stage)
        self.epochs = campaign.epochs_of(stage)
        """Epochs of a trial that trains to its end."""
        self.planned = self._pruning.epochs_of(len(study.trials))
        """Epochs of all trials together, if none fails."""
        self.epochs_per_trial = self.planned / len(study.trials)
        self._finished = {trial.number: trial for trial in finished_trials(before.trials if before else ())}
        self._lowest_unfinished = 0

    @property
    def finished(self) -> tuple[FinishedTrial, ...]:
        """Return the trials that had finished at the last snapshot, in the order in which they did."""
        return tuple(self._finished.values())

    def snapshot(self) -> StageSnapshot:
        """Read the stage from the storage: two short queries, and a third one if trials have finished."""
        progress = self._storage.queries.progress(self._id, self.campaign.metric.direction)
        new: tuple[FinishedTrial, ...] = ()
        if progress.ended < len(self._finished):  # failed trials wait again
            self._finished, self._lowest_unfinished = self._still_finished(), 0
        if progress.ended != len(self._finished):
            found = self._storage.queries.finished_trials(self._id, self._first_unfinished())
            new = tuple(trial for trial in found if trial.number not in self._finished)
            self._finished.update({trial.number: trial for trial in new})
        trained = progress.epochs + sum(trial.epochs for trial in self._finished.values())
        left = epochs_left(self._pruning, progress.trials, trained, self._finished.values())
        return StageSnapshot(progress, new, trained, left)

    def _still_finished(self) -> dict[int, FinishedTrial]:
        """Return the trials known to have finished that have not been put back since."""
        numbers = {trial.number for trial in self._storage.queries.finished_trials(self._id)}
        return {number: trial for number, trial in self._finished.items() if number in numbers}

    def _first_unfinished(self) -> int:
        """Return the number below which all trials are known to have finished; those need not be read again."""
        self._lowest_unfinished = next(n for n in itertools.count(self._lowest_unfinished) if n not in self._finished)
        return self._lowest_unfinished


def stage_seconds_left(study: Study, campaign: Campaign, stage: AnyStage, training: int, now: datetime) -> float | None:
    """Return about how many seconds a stage still takes, judged by its recorded trials; None if unknown.

    `training` is the number of trials in training, and `now` a local time without a zone, like Optuna's times.
    """
    trials, finished = study.trials, finished_trials(study.trials)
    trained = sum(len(trial.intermediate_values) for trial in trials)
    try:
        left = epochs_left(campaign.pruning(stage), len(trials), trained, finished)
    except (ExtensionError, CampaignError):  # of a pruner that is not installed here, where nothing trains
        return 0.0 if len(finished) == len(trials) else None
    if not left and len(finished) < len(trials):  # more was trained than planned, as after failures and retries
        return None
    return seconds_left(left, recorded_rate(trials, training, now))


def best_of(trials: Iterable[FinishedTrial], direction: Direction) -> FinishedTrial | None:
    """Return the best completed trial; of equal values, the one with the lower number."""
    completed = [(t, t.value) for t in trials if t.state is TrialState.COMPLETE and t.value is not None]
    found = min(completed, key=lambda pair: (direction.key(pair[1]), pair[0].number), default=None)
    return found[0] if found else None


def finished_trials(trials: Iterable[FrozenTrial]) -> list[FinishedTrial]:
    """Return the trials that have finished, in the order in which they did."""
    with without_collector():
        return [
            FinishedTrial(
                t.number,
                point_of(t),
                t.state,
                t.value,
                max(t.intermediate_values, default=0),
                t.user_attrs.get("reason"),
            )
            for t in in_order_of_end(trials)
        ]


def paced(report: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """Return a function that calls another one, but not if that would take more than a tenth of the time.

    After five seconds it is called again, however long the last call took.
    A snapshot of a stage of 100,000 trials takes a tenth of a second: after each record it would take most of the time.
    """
    due = -math.inf

    def report_if_due() -> None:
        nonlocal due
        began = clock()
        if began >= due:
            report()
            took = clock() - began
            due = clock() + min(_PACE * took, _LONGEST_PAUSE) if took > _QUICK_SECONDS else -math.inf

    return report_if_due
