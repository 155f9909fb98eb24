"""What is to be done if no trial of a campaign completed."""

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.results.outcome import remedy
from coarsefine.search.results.study import Study
from coarsefine.search.storage.location import locate

OF_CODE = {"objective": {"name": "m:f"}, "config": {}}


def study(attrs, *ends):
    """Return a study whose trials ended in these states, for these reasons."""
    trials = [
        FrozenTrial(
            number=number, state=state, value=None, datetime_start=None, datetime_complete=None, params={"eta": 1.0},
            distributions={"eta": FloatDistribution(0.1, 2.0)}, user_attrs={"reason": reason} if reason else {},
            system_attrs={}, intermediate_values={}, trial_id=number,
        )
        for number, (state, reason) in enumerate(ends)
    ]  # fmt: skip
    return Study(1, "small/coarse", attrs, tuple(trials))


@pytest.mark.parametrize(
    ("attrs", "end", "advised"),
    [
        ({}, (TrialState.FAIL, "diverged in epoch 1"), ["Lower the upper bound of eta", "coarsefine delete small"]),
        ({}, (TrialState.FAIL, "MemoryError"), ["coarsefine retry small --storage", "coarsefine run small"]),
        (OF_CODE, (TrialState.FAIL, None), ["coarsefine retry small --storage", "coarsefine run small"]),
        (OF_CODE, (TrialState.FAIL, "diverged in epoch 1"), ["coarsefine retry small --storage", " --diverged`"]),
        (OF_CODE, (TrialState.PRUNED, None), ["let fewer be pruned"]),
    ],
)
def test_remedy_fits_what_was_searched_and_how_it_ended(tmp_path, attrs, end, advised):
    """Lower learning rates are for a network that diverged; what failed goes on under its name after a retry."""
    found = remedy([study(attrs, end)], locate(tmp_path / "other.db"))
    assert all(words in found for words in advised), found
    assert ("eta" in found) == ("eta" in advised[0])
