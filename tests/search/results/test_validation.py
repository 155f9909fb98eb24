"""Which slots hold what Coarsefine writes; those that do not are named, however many others do."""

import math
from datetime import datetime

import pytest
from optuna.trial import TrialState, create_trial

from coarsefine.search.campaign.space import Space
from coarsefine.search.results.validation import valid_slots

SPACE = Space.from_dict({"eta": [0.1, 1.0], "kind": {"choice": ["a", "b"]}})
ATTRS = {"seed": 3, "train_loss": [0.5, None], "metrics": {"f1": [0.25]}, "worker": "host:1"}


def slot(number, attrs=(), **changed):
    """Return a slot that has ended, with changes."""
    trial = create_trial(value=0.5, intermediate_values={1: 0.5}, user_attrs={**ATTRS, **dict(attrs)})
    trial.number, trial.params = number, {"eta": 0.5, "kind": "a"}
    for name, value in changed.items():
        setattr(trial, name, value)
    return trial


DAMAGED = {
    "seed below 0": {"attrs": {"seed": -1}},
    "seed in words": {"attrs": {"seed": "three"}},
    "reason of another type": {"attrs": {"reason": None}},
    "worker of another type": {"attrs": {"worker": ["host"]}},
    "loss that is a text": {"attrs": {"validation_loss": [0.5, "low"]}},
    "loss that is not finite": {"attrs": {"train_loss": [math.inf]}},
    "metrics without names": {"attrs": {"metrics": [0.5]}},
    "two values": {"values": [0.5, 0.5]},
    "no value": {"values": None},
    "value that is not finite": {"values": [math.nan]},
    "epoch with a whole number": {"intermediate_values": {1: 1}},
    "value outside the range": {"params": {"eta": 2.0, "kind": "a"}},
    "value that is no option": {"params": {"eta": 0.5, "kind": "c"}},
    "parameter too few": {"params": {"eta": 0.5}},
    "parameter too many": {"params": {"eta": 0.5, "kind": "a", "more": 1.0}},
    "time before all clocks": {"datetime_start": datetime.min},  # noqa: DTZ901 - Optuna's have no zone
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_damaged_slot_is_named_and_the_others_are_kept(damage):
    """Of three slots of which the second is damaged, the others are valid and the second is named, however damaged."""
    slots = [slot(0), slot(1, **damage), slot(2)]
    valid, invalid = valid_slots(slots, SPACE)
    assert valid == (slots[0], slots[2])
    assert [str(one) for one in invalid] == ["trial 1 (not as Coarsefine writes it)"]


def test_slots_of_every_state_are_valid():
    """A slot that waits has neither value nor times, and a failed one has a reason: all of them are valid."""
    waiting = slot(0, state=TrialState.WAITING, values=None, datetime_start=None, datetime_complete=None)
    failed = slot(1, {"reason": "diverged"}, state=TrialState.FAIL, values=None)
    slots = (waiting, failed, slot(2, {"seed": 2.0}))  # a whole number in another form
    assert valid_slots(slots, SPACE) == (slots, ())
