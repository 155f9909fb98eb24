"""Which trials of a study are its slots, and how a slot counts whose state another program has set."""

import copy
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.storage.slots import set_by_others
from coarsefine.search.storage.tables import ENDED, MOST_SLOTS, SEED, SLOTS


def as_slots(
    trials: Iterable[FrozenTrial], attrs: Mapping[str, Any]
) -> tuple[tuple[FrozenTrial, ...], tuple[int, ...]]:
    """Return the slots among a study's trials by rising number, and the numbers of the trials that are none.

    A trial that another program enqueued or added has no seed, or if it is a copy, too high a number. A slot whose
    state another program has set counts as failed.
    """
    planned = planned_of(attrs)
    slots: dict[int, FrozenTrial] = {}
    others = []
    for trial in sorted(trials, key=attrgetter("number")):
        number = trial.number
        if SEED in trial.user_attrs and (planned is None or number < planned) and number not in slots:
            slots[number] = trial if planned is None else _as_ended(trial)
        else:
            others.append(number)
    return tuple(slots.values()), tuple(others)


def planned_of(attrs: Mapping[str, Any]) -> int | None:
    """Return the number of slots that a study stores; None for studies of earlier versions, and if it cannot be one."""
    planned = attrs.get(SLOTS)
    return planned if type(planned) is int and 0 <= planned <= MOST_SLOTS else None


def _as_ended(slot: FrozenTrial) -> FrozenTrial:
    """Return a slot as it is, or as failed if another program has set its state."""
    value = slot.values[0] if slot.values else None
    if (reason := set_by_others(slot.state, value, slot.user_attrs.get(ENDED))) is None:
        return slot
    failed = copy.copy(slot)
    failed.state, failed.values = TrialState.FAIL, None
    failed.user_attrs = {**slot.user_attrs, "reason": reason}
    return failed
