"""Test how the end of a slot counts."""

import pytest
from optuna.trial import TrialState

from coarsefine.search.storage.slots import has_diverged


@pytest.mark.parametrize(
    ("state", "reason", "diverged"),
    [
        (TrialState.FAIL, "diverged in epoch 3: its value is nan", True),
        (TrialState.FAIL, "ValueError: the solver diverged (own.py, line 7)", False),
        (TrialState.PRUNED, "diverged in epoch 3: its value is nan", False),
        (TrialState.FAIL, None, False),
    ],
)
def test_only_a_trial_whose_numbers_overflow_diverges(state, reason, diverged):
    """An exception of user code whose message has the word is a failure like others, which can be retried."""
    assert has_diverged(state, reason) is diverged
