"""Failures of a worker in a row with the same cause: its machine or the user's code is broken, not a single trial."""

from collections.abc import Iterable

from optuna.trial import TrialState

from coarsefine.search.campaign.words import counted
from coarsefine.search.errors import RepeatedFailure
from coarsefine.search.training.recorder import HeldSlot


class FailureStreak:
    """Counts failures in a row with the same cause. `most` is the number after which a worker stops; None for never."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._last: HeldSlot | None = None
        self._count = 0

    def count(self, trials: Iterable[HeldSlot]) -> None:
        """Count the trials of these that have ended. Call it once with each trial that ends.

        Trials of a batch that fail with the same cause at once count once: it was one call. A trial that diverged
        counts neither as a failure nor as a success.
        """
        if self._most is None:
            return
        ended = [trial for trial in trials if trial.state.is_finished()]
        if any(trial.state is not TrialState.FAIL for trial in ended):
            self._last, self._count = None, 0
        for trial in {trial.cause: trial for trial in ended if trial.cause is not None}.values():
            self._count = self._count + 1 if self._last is not None and trial.cause == self._last.cause else 1
            self._last = trial

    @property
    def too_many(self) -> bool:
        """Return whether the worker should stop."""
        return self._most is not None and self._count >= self._most

    def raise_if_too_many(self) -> None:
        """Raise `RepeatedFailure`, with the last trial and its reason, if the worker should stop."""
        if self.too_many and self._last is not None:
            reason, number = self._last.reason, self._last.claim.slot.number
            raise RepeatedFailure(f"{counted(self._count, 'failure')} in a row with the same cause: {reason}", number)
