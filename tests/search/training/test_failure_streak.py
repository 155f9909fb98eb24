"""Test when a worker stops: after failures in a row with the same cause."""

import pytest
from optuna.trial import TrialState
from stages import planned

from coarsefine.search.errors import RepeatedFailure
from coarsefine.search.storage.slots import Claim
from coarsefine.search.training.failure_streak import FailureStreak
from coarsefine.search.training.recorder import HeldSlot

RAISED = "ValueError: no {} (train.py, line 3)"


def ends(*reasons, state=TrialState.FAIL, cause=None):
    """Return trials that ended for these reasons."""
    claim = Claim(1, 1, planned(8)[7])
    return [HeldSlot(claim, state=state, reason=reason, cause=cause) for reason in reasons]


def streak(*batches, most=3):
    found = FailureStreak(most)
    for batch in batches:
        found.count(batch)
    return found


DONE = ends(None, state=TrialState.COMPLETE)
FAILED = [ends(RAISED.format(number), cause="ValueError train.py:3") for number in range(4)]
BATCH = ends(*[RAISED.format(number) for number in range(16)], cause="ValueError train.py:3")
DIVERGED = ends("diverged in epoch 2: its value is nan")


@pytest.mark.parametrize(
    ("batches", "too_many"),
    [
        (FAILED[:2], False),
        (FAILED[:3], True),
        ([*FAILED[:2], DONE, *FAILED[:2]], False),
        ([*FAILED[:2], ends("pruned", state=TrialState.PRUNED), FAILED[2]], False),
        ([*FAILED[:2], ends("KeyError: 'a' (train.py, line 3)", cause="KeyError train.py:3"), *FAILED[:2]], False),
        ([*FAILED[:2], DIVERGED, FAILED[2]], True),
        ([DIVERGED] * 5, False),
        ([BATCH] * 2, False),
        ([BATCH] * 3, True),
        ([ends(None, state=TrialState.RUNNING)] * 5, False),
    ],
)
def test_failures_in_a_row_with_one_cause_are_counted(batches, too_many):
    """Three in a row are too many; a success between them starts again, a trial that diverged changes nothing."""
    assert streak(*batches).too_many == too_many


def test_last_reason_is_raised():
    """The error has the number of failures, and the last trial with its reason."""
    with pytest.raises(
        RepeatedFailure, match=r"^3 failures in a row with the same cause: ValueError: no 2 \(tr"
    ) as error:
        streak(*FAILED[:3]).raise_if_too_many()
    assert error.value.trial == 7
    streak(*FAILED, most=None).raise_if_too_many()
