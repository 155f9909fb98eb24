"""A stage, looked at again and again while it is trained, whoever trains it; and how fast it comes on."""

import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.campaign.schema import AnyStage
from coarsefine.search.results.study import Study, point_of
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.slots import FinishedTrial
from coarsefine.search.storage.study_queries import Progress

_WINDOW_SECONDS = 60.0
"""How far back a rate looks."""
_LEAST_STEPS = 5
"""Steps it looks back at least, where an epoch takes longer than that."""


@dataclass(frozen=True, slots=True)
class StageSnapshot:
    """How a stage stands at one moment."""

    progress: Progress
    new: tuple[FinishedTrial, ...]
    """Trials that ended since the last look, in the order they did."""
    trained: int
    """Epochs recorded, of all its trials together."""
    left: int
    """Epochs still to be trained, as far as that is known."""


class StageProgress:
    """A stage's study, followed from how it stood `before`; None where it was not there."""

    def __init__(
        self, storage: Storage, study: Study, campaign: Campaign, stage: AnyStage, before: Study | None = None
    ) -> None:
        self.campaign, self.stage, self.study, self.space = campaign, stage.name, study.name, study.space
        self.is_confirm = study.is_confirm
        self._storage, self._id, self._halving = storage, study.id, campaign.halving(stage)
        self.epochs = campaign.epochs_of(stage)
        """Of a trial that goes to its end."""
        self.planned = self._halving.epochs_of(len(study.trials), self.epochs)
        """Epochs of all its trials together, if none fails."""
        self.epochs_per_trial = self.planned / len(study.trials)
        self._endings = {ending.number: ending for ending in _endings(before.trials if before else ())}
        self._low = 0

    @property
    def endings(self) -> tuple[FinishedTrial, ...]:
        """Return the trials that had ended at the last look, in the order they did."""
        return tuple(self._endings.values())

    def snapshot(self) -> StageSnapshot:
        """Ask the storage how the stage stands: two short questions, and a third where trials ended."""
        progress = self._storage.queries.progress(self._id)
        new: tuple[FinishedTrial, ...] = ()
        if progress.ended != len(self._endings):
            found = self._storage.queries.finished_trials(self._id, self._first_open())
            new = tuple(ending for ending in found if ending.number not in self._endings)
            self._endings.update({ending.number: ending for ending in new})
        trained = progress.epochs + sum(ending.epochs for ending in self._endings.values())
        return StageSnapshot(progress, new, trained, self._left(progress, trained))

    def _first_open(self) -> int:
        """Return the number below which all trials are known to have ended: the storage need not read them again."""
        self._low = next(number for number in itertools.count(self._low) if number not in self._endings)
        return self._low

    def _left(self, progress: Progress, trained: int) -> int:
        if progress.ended == progress.trials:
            return 0
        failed = [ending for ending in self._endings.values() if ending.state is TrialState.FAIL]
        # Where a stage halves, another trial goes on in the place of one that failed.
        spared = 0 if self._halving.rungs else sum(self.epochs - ending.epochs for ending in failed)
        return max(self.planned - trained - spared, 0)


def best_of(endings: Iterable[FinishedTrial]) -> FinishedTrial | None:
    """Return the best of those that completed; of equal values, that of the lower number."""
    completed = [e for e in endings if e.state is TrialState.COMPLETE and e.value is not None]
    return max(completed, key=lambda e: (e.value or 0.0, -e.number), default=None)


def _endings(trials: Iterable[FrozenTrial]) -> list[FinishedTrial]:
    ended = [trial for trial in trials if trial.state.is_finished() and trial.datetime_complete]
    ended.sort(key=lambda trial: (trial.datetime_complete, trial.number))
    return [
        FinishedTrial(
            t.number, point_of(t), t.state, t.value, max(t.intermediate_values, default=0), t.user_attrs.get("reason")
        )
        for t in ended
    ]


@dataclass(slots=True)
class Rate:
    """How fast a count grows, from when it was seen to grow."""

    _steps: deque[tuple[float, float]] = field(default_factory=deque)
    """Moments in seconds, and the count then."""

    def step(self, now: float, count: float) -> None:
        """Note the count at a moment; one that fell, as where a worker was killed, counts from there."""
        if self._steps and count < self._steps[-1][1]:
            fallen = self._steps[-1][1] - count
            self._steps = deque((moment, before - fallen) for moment, before in self._steps)
        if not self._steps or count > self._steps[-1][1]:
            self._steps.append((now, count))
        while len(self._steps) > _LEAST_STEPS and self._steps[1][0] < now - _WINDOW_SECONDS:
            self._steps.popleft()

    def per_second(self, now: float) -> float | None:
        """Return the rate; None before anything grew. It falls where nothing grows for longer than usual."""
        if len(self._steps) < 2:  # noqa: PLR2004 - a rate lies between two
            return None
        (first, low), (last, high) = self._steps[0], self._steps[-1]
        usual = (last - first) / (len(self._steps) - 1)
        return (high - low) / max(last - first, now - first - 2 * usual, 1e-9)
