"""A stage's study as it is read back from the storage."""

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from coarsefine.model.datasets import Counts
from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.space import Point, Space
from coarsefine.search.results.commands import command
from coarsefine.search.results.edited import Edit
from coarsefine.search.results.own_slots import planned_of
from coarsefine.search.storage.location import Location
from coarsefine.search.storage.readable_trials import Unreadable
from coarsefine.search.storage.seal import checks_of
from coarsefine.search.storage.slots import SET_BY_OTHERS, Slot, has_diverged
from coarsefine.search.storage.tables import FINAL_TRAINING, OBJECTIVE, RETRIED, Attrs
from coarsefine.search.storage.trial_reader import without_collector

_SIZES = re.compile(r"([\d,]+)/([\d,]+)/([\d,]+) images")


Span = tuple[float, float]
"""Start and end of a training, in seconds since the epoch."""


@dataclass(frozen=True)
class Study:
    """A stage's study at one moment. What is counted in its trials is counted once."""

    id: int
    name: str
    attrs: dict[str, Any]
    trials: tuple[FrozenTrial, ...]
    """The slots, as `as_slots` returns them."""
    others: tuple[int, ...] = ()
    """The numbers of the trials of other programs."""
    left_out: tuple[Unreadable, ...] = ()
    """What is stored of it and cannot be read: it is among neither of these."""
    called: str | None = None
    """Its name in the storage, if another program has renamed it."""
    edits: tuple[Edit, ...] = ()
    """The attributes that other programs have edited; `attrs` has what they were."""
    label_notes: tuple[str, ...] = ()
    """Sentences about the name and the direction of the values, if other programs have changed them."""
    checks: Sequence[int] = ()
    """The check of each slot, in the order of their numbers; none if a version wrote it that made none."""

    @property
    def space(self) -> Space:
        """Return the ranges the stage draws from."""
        return Space.from_dict(self.attrs["space"])

    @property
    def is_confirm(self) -> bool:
        """Return whether its stage trains the finalists again."""
        return "finalists" in self.attrs

    @property
    def is_final(self) -> bool:
        """Return whether its stage trains the winner again."""
        return "winner" in self.attrs

    @property
    def is_search(self) -> bool:
        """Return whether its stage searches, rather than train what others found."""
        return not self.is_confirm and not self.is_final

    @property
    def images(self) -> Counts | None:
        """Return how many images each part has; None if an objective was searched, or if the study does not say."""
        if "images" in self.attrs:
            return Counts(**self.attrs["images"])
        # Studies of earlier versions hold the numbers in a sentence only, which `coarsefine.model.datasets` wrote.
        found = _SIZES.search(str(self.attrs.get("data", {}).get("description", "")))
        return Counts(*(int(size.replace(",", "")) for size in found.groups())) if found else None

    @property
    def slots(self) -> list[Slot]:
        """Return the trials as they were planned."""
        with without_collector():
            return [Slot(trial.number, point_of(trial), trial.user_attrs["seed"]) for trial in self.trials]

    @property
    def retries(self) -> int:
        """Return how often failed trials of it were put back."""
        return len(self.attrs.get(RETRIED, ()))

    @property
    def planned(self) -> int:
        """Return the number of slots that were planned."""
        return planned_of(self.attrs) or len(self.trials)

    @cached_property
    def missing(self) -> list[int]:
        """Return the numbers of the slots that another program has deleted."""
        known = {trial.number for trial in self.trials} | {damaged.number for damaged in self.left_out}
        lost = sorted({*range(self.planned)} - known)
        return lost if len(lost) > sum(damaged.number is None for damaged in self.left_out) else []

    @property
    def changed(self) -> list[int]:
        """Return the numbers of the slots whose state another program has set."""
        return [t.number for t in self._unsuccessful if str(t.user_attrs.get("reason", "")).startswith(SET_BY_OTHERS)]

    @cached_property
    def altered(self) -> list[int]:
        """Return the numbers of the slots that do not have their seed and their point.

        Without checks, any seed and any point of the space could be theirs.
        """
        seeds = [trial.user_attrs["seed"] for trial in self.trials]
        places = {place for place, seed in enumerate(seeds) if not _is_seed(seed)}
        points = [trial.params for trial in self.trials]
        if len(self.checks) == self.planned:
            found = checks_of(points, [seed if place not in places else 0 for place, seed in enumerate(seeds)])
            numbers = [trial.number for trial in self.trials]
            places |= {place for place, check in enumerate(found) if check != self.checks[numbers[place]]}
        else:
            places |= self.space.outside(points)
        return [self.trials[place].number for place in sorted(places)]

    def trial(self, number: int) -> FrozenTrial | None:
        """Return a slot by its number; None if there is none."""
        return next((trial for trial in self.trials if trial.number == number), None)

    def count(self, state: TrialState) -> int:
        """Return the number of trials in a state."""
        return self._states[state]

    @property
    def finished(self) -> bool:
        """Return whether every trial has ended."""
        return self.ended == len(self.trials) == self.planned

    @property
    def ended(self) -> int:
        """Return the number of trials that have ended."""
        return sum(count for state, count in self._states.items() if state.is_finished())

    @cached_property
    def diverged(self) -> int:
        """Return the number of trials that ended because their loss or weights overflowed."""
        return sum(has_diverged(trial.state, trial.user_attrs.get("reason")) for trial in self._unsuccessful)

    @property
    def failed(self) -> int:
        """Return the number of trials that ended without a value for another reason."""
        return self.count(TrialState.FAIL) - self.diverged

    @property
    def mostly_failed(self) -> bool:
        """Return whether at least half of its trials failed; those that diverged were trained."""
        return is_most(self.failed, self.planned)

    @property
    def failure(self) -> tuple[int, str] | None:
        """Return the number of the first trial that failed without diverging, and the reason; None if there is none."""
        for trial in self._unsuccessful:
            reason = trial.user_attrs.get("reason")
            if reason and not has_diverged(trial.state, reason):
                return trial.number, reason
        return None

    @cached_property
    def spans(self) -> list[Span]:
        """Return start and end of each trial that has ended, in the order in which they started."""
        return sorted(
            (trial.datetime_start.timestamp(), trial.datetime_complete.timestamp())
            for trial in self.trials
            if trial.datetime_start and trial.datetime_complete
        )

    def failures(self, location: Location) -> str:
        """Return how many trials ended without a value, and how, as text; `location` is where the study is."""
        status = f"`{command('status', self.name.rpartition('/')[0], location)}` shows why"
        counts = {"diverged": self.diverged, f"failed: {status}": self.failed}
        return ", ".join(f"{count} {how}" for how, count in counts.items() if count) or "none ended"

    @property
    def direction(self) -> Direction:
        """Return which values are better."""
        return Direction(self.attrs.get("config", {}).get("direction", Direction.MAXIMIZE))

    def best(self, k: int) -> list[FrozenTrial]:
        """Return the k best completed trials, best first; of equal values, the lower number first."""
        trials, keys = self._completed
        return [trials[place] for place in heapq.nsmallest(k, range(len(keys)), key=keys.__getitem__)]

    @cached_property
    def _states(self) -> Counter[TrialState]:
        return Counter(map(attrgetter("state"), self.trials))

    @cached_property
    def _unsuccessful(self) -> list[FrozenTrial]:
        """Return the trials that failed or diverged."""
        return [trial for trial in self.trials if trial.state is TrialState.FAIL]

    @cached_property
    def _completed(self) -> tuple[list[FrozenTrial], list[float]]:
        """Return the completed trials by rising number, and the keys by which they are sorted, the best one first."""
        trials, key = [trial for trial in self.trials if trial.state is TrialState.COMPLETE], self.direction.key
        return trials, [key(value_of(trial)) for trial in trials]


def value_of(trial: FrozenTrial) -> float:
    """Return a completed trial's value, which for the network is its validation accuracy."""
    value = trial.value
    assert value is not None, "only a completed trial has a value"  # noqa: S101
    return value


def values_by_epoch(trial: FrozenTrial) -> list[float]:
    """Return the values that a trial recorded, in the order of the epochs."""
    return [value for _, value in sorted(trial.intermediate_values.items())]


def metrics_by_epoch(trial: FrozenTrial) -> dict[str, list[float | None]]:
    """Return the further metrics that a trial's code reported, by name, each with a value or None for each epoch."""
    named = trial.user_attrs.get("metrics")
    return _known(named) if isinstance(named, dict) else {}


def losses_by_epoch(trial: FrozenTrial) -> dict[str, list[float | None]]:
    """Return the losses that a trial of the network recorded, by name; None where one was not finite."""
    return _known({name: trial.user_attrs.get(name) for name in ("train_loss", "validation_loss")})


def _known(named: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Return the lists with at least one number."""
    return {
        name: found for name, found in named.items() if isinstance(found, list) and any(v is not None for v in found)
    }


def is_most(failed: int, trials: int) -> bool:
    """Return whether so many failed trials are most of a stage's: half of them or more."""
    return 2 * failed >= trials


def point_of(trial: FrozenTrial) -> Point:
    """Return a trial's point."""
    return Point.of(trial.params)


def is_past_retry(attrs: Attrs, of_campaign: Iterable[Attrs]) -> bool:
    """Return whether trials of a study can no longer be retried, since the winner follows from them and is trained.

    The network's winner has then been measured, which cannot be repeated. Of user code, the finalists decide. Takes the
    study's attributes, and those of all studies of its campaign.
    """
    if OBJECTIVE not in attrs:
        return any(FINAL_TRAINING in each for each in of_campaign)
    return "finalists" in attrs and any("winner" in each for each in of_campaign)


def in_order_of_end(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that have ended, in the order in which they did."""
    ended = [trial for trial in trials if trial.state.is_finished() and trial.datetime_complete]
    return sorted(ended, key=lambda trial: (trial.datetime_complete, trial.number))


def _is_seed(seed: object) -> bool:
    return isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0
