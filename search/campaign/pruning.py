"""Pruning: which trials of a stage end early, decided so that the outcome does not depend on timing.

A rung is an epoch after which only some trials continue. Asynchronous variants, such as Optuna's pruners, compare a
trial with the trials that have reached the rung so far. Here a trial is compared with a fixed cohort, once all of it
has reached the rung or ended. So the same trials are pruned for any number of workers, and after any crash.

A pruner is a subclass of `Pruner`. It is one of Coarsefine's own or comes from another package, which registers it as
an entry point of the group `coarsefine.pruners`; `docs/extending/pruners.md` shows how.
"""

import inspect
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from coarsefine.model.extensions import Group, call, described, load
from coarsefine.search.campaign.direction import Direction
from coarsefine.search.campaign.json_form import STRICT
from coarsefine.search.campaign.validation_errors import sentence
from coarsefine.search.errors import CampaignError

LARGEST_COHORT = 64
"""The most trials in a cohort. A worker keeps their weights until their rung is decided."""
LARGEST_COHORT_OF_PROCESSES = 16
"""The most trials in a cohort of user code, each of which has a process until its rung is decided."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A rung that a cohort has reached."""

    epoch: int
    """The number of epochs after which its trials are compared."""
    place: int
    """0 for a stage's first rung, 1 for its second, and so on."""
    last: int
    """The epochs of a trial that trains to its end."""
    cohort: range
    """The numbers of all trials of the cohort, also of those that have ended before the rung."""


class Pruner(BaseModel, ABC):
    """Decides which trials of a cohort continue after a rung. The fields of a subclass are its options."""

    model_config = STRICT

    @abstractmethod
    def rungs_of(self, epochs: int) -> Sequence[int]:
        """Return the epochs after which trials are pruned: rising, from 1, and below `epochs`, the last one."""

    @abstractmethod
    def survivors(self, rung: Rung, values: Mapping[int, float]) -> Collection[int]:
        """Return the numbers of the trials that continue, at least one.

        `values` are the values after the rung's epoch, by number, of the trials that have not ended before it; the
        higher the better, so those of a campaign that minimizes are negated. The result follows from the arguments and
        the options alone: every worker asks for it.
        """

    def reason(self, rung: Rung, kept: int) -> str:
        """Return why a trial is pruned, after "pruned after epoch 4: "; `kept` trials continue."""
        return f"not among the {kept} of {len(rung.cohort)} that continue"

    def epochs_of(self, trials: int, epochs: int) -> int:
        """Return how many epochs a cohort of so many trials trains in all if none fails; for the time left.

        Unless a pruner knows better, that is as if it pruned none.
        """
        return trials * epochs


def _check(found: Any) -> type[Pruner]:
    if not (isinstance(found, type) and issubclass(found, Pruner)):
        raise TypeError("is not a subclass of coarsefine.Pruner")
    if inspect.isabstract(found):
        raise TypeError(f"lacks {' and '.join(sorted(found.__abstractmethods__))}")
    return found


PRUNERS = Group(
    "coarsefine.pruners",
    "pruner",
    {
        "none": "coarsefine.search.campaign.pruners.none:NoPruner",
        "halving": "coarsefine.search.campaign.pruners.halving:Halving",
        "hyperband": "coarsefine.search.campaign.pruners.hyperband:Hyperband",
    },
    _check,
)


def pruner(name: str, options: Mapping[str, Any]) -> Pruner:
    """Return the pruner of this name with these options.

    Raises `ExtensionError` if there is none or if it fails, and `ValueError` for options that it does not have or take.
    """
    chosen = load(PRUNERS, name)
    try:
        return call(PRUNERS, name, lambda: chosen.model_validate(dict(options)), ValidationError)
    except ValidationError as error:
        raise ValueError(sentence(error, chosen).rstrip(".")) from error


@dataclass(frozen=True, slots=True)
class Pruning:
    """How one stage prunes: a pruner, whose answers are checked."""

    pruner: Pruner
    epochs: int
    """The epochs of a trial that trains to its end."""
    rungs: tuple[int, ...]
    """The epochs after which trials are pruned."""
    name: str
    """The pruner's name."""
    largest_cohort: int = LARGEST_COHORT
    """The most trials in a cohort."""
    direction: Direction = Direction.MAXIMIZE
    """Which values are better."""

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any], epochs: int) -> Self:
        """Return how a stage of this many epochs prunes.

        Raises `ValueError` for a pruner or options that are not possible, or whose rungs do not lie in the stage.
        """
        chosen = pruner(name, options)
        rungs = call(PRUNERS, name, lambda: [operator.index(rung) for rung in chosen.rungs_of(epochs)])
        if rungs != sorted({rung for rung in rungs if rung > 0}):
            raise ValueError(f"rungs = {rungs} must be epochs in rising order")
        if rungs and rungs[-1] >= epochs:
            raise ValueError(f"rungs = {rungs} must lie before its last epoch, {epochs}")
        return cls(chosen, epochs, tuple(rungs), name)

    def next_stop(self, epoch: int) -> int:
        """Return the epoch up to which a trial trains next: a rung, or the last epoch."""
        return next((rung for rung in self.rungs if rung > epoch), self.epochs)

    def losers(self, cohort: range, epoch: int, values: Mapping[int, float | None]) -> dict[int, str]:
        """Return the trials of a cohort that are pruned after a rung, each with the reason.

        `values` has a value for every trial of the cohort: None for those that ended before the rung.
        """
        rung = Rung(epoch, self.rungs.index(epoch), self.epochs, cohort)
        known = ((number, values[number]) for number in cohort)
        reached = {number: self.direction.sign * value for number, value in known if value is not None}
        kept = self._survivors(rung, reached)
        reason = call(PRUNERS, self.name, lambda: str(self.pruner.reason(rung, len(kept))))
        return {number: f"pruned after epoch {epoch}: {reason}" for number in reached if number not in kept}

    def epochs_of(self, trials: int) -> int:
        """Return the epochs that all trials of a stage train together if none of them fails."""
        sizes = [len(cohort) for cohort in self.cohorts_of(trials)]
        return call(PRUNERS, self.name, lambda: sum(int(self.pruner.epochs_of(size, self.epochs)) for size in sizes))

    def cohort_of(self, number: int, trials: int) -> range:
        """Return the cohort of a slot, as slot numbers; they are consecutive, and of nearly equal size."""
        cohorts = math.ceil(trials / self.largest_cohort)
        share = number * cohorts // trials
        return range(-(-share * trials // cohorts), -(-(share + 1) * trials // cohorts))

    def cohorts_of(self, trials: int) -> Iterator[range]:
        """Yield the cohorts of a stage, in the order of their numbers."""
        first = 0
        while first < trials:
            cohort = self.cohort_of(first, trials)
            yield cohort
            first = cohort.stop

    @property
    def _source(self) -> str:
        return described(PRUNERS, self.name)

    def _survivors(self, rung: Rung, values: Mapping[int, float]) -> set[int]:
        kept, again = (
            call(PRUNERS, self.name, lambda: set(self.pruner.survivors(rung, dict(values)))) for _ in range(2)
        )
        trials = f"the {len(values)} trials that a cohort has after epoch {rung.epoch}"
        if kept != again:
            raise CampaignError(f"The {self._source} decides differently each time about {trials}.")
        if values and not kept:
            raise CampaignError(f"The {self._source} keeps none of {trials}: at least one must continue.")
        if strangers := kept - values.keys():
            raise CampaignError(f"The {self._source} keeps {min(map(str, strangers))}, which is none of {trials}.")
        return kept
