"""Questions about a study while it is trained, on each database."""

from optuna.trial import TrialState
from stages import ended, open_stage, running

from coarsefine.search.storage.failed_slots import StageRetry


def test_values_at_a_rung_are_those_of_the_numbers_that_are_asked_about(opened):
    """A cohort's values at a rung have None for a trial that ended before, and nothing for one that may still come."""
    storage = opened()
    study = open_stage(storage, 6)
    claims = storage.queue.claim(study, 5)
    failed = ended(claims[2], TrialState.FAIL)
    storage.queue.record([ended(claims[0]), ended(claims[1]), failed, running(claims[3], 1)], claims)
    assert storage.queries.values_after(study, 2, range(1, 6)) == {1: 0.1, 2: 0.2}
    assert storage.queries.values_after(study, 3, range(1, 3)) == {1: None, 2: None}
    assert storage.queries.values_after(study, 1, range(3, 6)) == {3: 0.5}


def test_retries_are_those_of_the_numbers_that_are_asked_about(opened):
    """Which retry put a slot back is read of a rung's cohort alone."""
    storage = opened()
    study = open_stage(storage, 4)
    claims = storage.queue.claim(study, 4)
    storage.queue.record([ended(claim, TrialState.FAIL) for claim in claims], claims)
    assert storage.retry([StageRetry(study, (0, 3), ())], [study], ())
    assert storage.queries.retries(study, range(3)) == {0: 1}
    assert storage.queries.retries(study, range(1, 4)) == {3: 1}
    assert storage.queries.retries(study, range(1, 3)) == {}
