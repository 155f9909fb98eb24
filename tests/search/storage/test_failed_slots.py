"""Test on both databases that failed slots wait again: what is kept, counted and refused."""

import pytest
from optuna.trial import TrialState
from stages import SPACE, ended, finish, numbers, open_stage, planned, states

from coarsefine.search.errors import CampaignError, UsageError
from coarsefine.search.storage.failed_slots import StageRetry
from coarsefine.search.storage.tables import lease


@pytest.fixture
def storage(opened):
    return opened()


@pytest.fixture
def study(storage):
    """Open a stage of three slots of which the first and the last fail; return its id."""
    study = open_stage(storage, 3)
    claims = storage.queue.claim(study, 3)
    ends = (TrialState.FAIL, TrialState.COMPLETE, TrialState.FAIL)
    storage.queue.record([ended(claim, end) for claim, end in zip(claims, ends, strict=True)], claims)
    return study


def retry(storage, study, *wanted, unopened=()):
    return storage.retry([StageRetry(study, wanted, ())], [study], unopened)


def test_failed_slot_is_claimed_again_as_planned(storage, study):
    """A retried slot has its number, point and seed, and its attempts count on; the others are as they were."""
    assert retry(storage, study, 0, 2)
    assert states(storage, study) == ["WAITING", "COMPLETE", "WAITING"]
    claims = storage.queue.claim(study, 9)
    assert [claim.slot for claim in claims] == [planned(3)[0], planned(3)[2]]
    assert [claim.attempt for claim in claims] == [2, 2]
    assert storage.queries.retries(study, range(3)) == {0: 1, 2: 1}


def test_released_slot_keeps_its_earlier_failures(storage, study):
    """A retried slot that is claimed and released keeps how it failed before."""
    retry(storage, study, 0)
    storage.queue.release(storage.queue.claim(study, 1))
    assert storage.queries.retries(study, range(3)) == {0: 1}
    assert finish(storage, study, 1) == [[0]]


def test_deaths_are_counted_from_the_retry_on(dying, storage):
    """A slot that killed its workers is retried with no deaths counted against it."""
    study = open_stage(storage, 1)
    while states(storage, study) != ["FAIL"]:
        dying().queue.claim(study, 1)
        assert storage.queue.claim(study, 0) == []
    retry(storage, study, 0)
    (claim,) = storage.queue.claim(study, 1)
    assert claim.deaths == 0
    assert claim.attempt > 3


@pytest.mark.parametrize("wanted", [(1,), (0, 1), (7,)])
def test_slot_that_has_not_failed_is_refused(storage, study, wanted):
    """If one of the slots has not failed, or does not exist, none is put back."""
    with pytest.raises(UsageError, match=rf"Trial {wanted[-1]} has not failed"):
        retry(storage, study, *wanted)
    assert states(storage, study) == ["FAIL", "COMPLETE", "FAIL"]


def test_retry_knows_of_each_stage(storage, study):
    """A retry does nothing if a stage was opened that it does not know of."""
    assert retry(storage, study, 0, unopened=["small/fine"])
    open_stage(storage, 1, "small/fine")
    assert not retry(storage, study, 2, unopened=["small/fine"])
    assert states(storage, study) == ["WAITING", "COMPLETE", "FAIL"]


def test_slot_that_another_program_ended_is_retried(storage):
    """A slot whose state another program has set counts as failed, and can be retried like one that did."""
    study = open_stage(storage, 2)
    trial = storage.get_all_trials(study)[0]
    storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [7.0])
    assert retry(storage, study, 0)
    assert states(storage, study) == ["WAITING", "WAITING"]
    (failure,) = storage.get_all_trials(study)[0].user_attrs["earlier_failures"]
    assert failure["reason"] == "another program set it to COMPLETE with the value 7"
    assert finish(storage, study, 1) == [[0], [1]]


def test_stage_is_not_opened_while_slots_of_its_parent_wait(storage, study):
    """A stage that follows from retried slots opens when they have ended."""
    retry(storage, study, 0)

    def open_next(retries):
        storage.open_study("small/fine", {"campaign": "small"}, SPACE, planned(2), parents={study: retries})
        return [found.study_name for found in storage.get_all_studies()]

    assert open_next(1) == ["small/coarse"]
    finish(storage, study, 1)
    assert open_next(0) == ["small/coarse"], "a process that read the study before the retry opens nothing"
    assert open_next(1) == ["small/coarse", "small/fine"]


def test_winner_in_training_is_not_retried(opened, storage, study):
    """While a living process trains the winner, whatever the clock says, and once that is recorded, no slot returns."""
    other = opened()
    assert other.once.acquire(study)
    with pytest.raises(UsageError, match="The winner is being trained"):
        retry(storage, study, 0)
    other.database.transact(lambda connection: connection.execute(lease.update().values(expires=0)))
    with pytest.raises(UsageError, match="The winner is being trained"):
        retry(storage, study, 0)
    other.once.release(study)
    storage.set_study_attrs(study, {"final": {}})
    with pytest.raises(UsageError, match="The winner has been trained and measured"):
        retry(storage, study, 0)


def test_worker_with_an_earlier_source_claims_nothing_more(opened, storage):
    """Once a changed source is accepted, a worker with the earlier one records what it holds, and claims no more."""
    early, late = storage, opened()
    early.open_study(
        "small/coarse", {"campaign": "small", "objective": {"name": "m:f", "digest": "a"}}, SPACE, planned(4)
    )
    study = early.get_study_id_from_name("small/coarse")
    held = early.queue.claim(study, 1, source="a")
    for _ in range(2):  # the second one changes nothing
        late.accept_source([study], {"name": "m:f", "digest": "b", "source": "x = 1\n"}, "a diff")
    with pytest.raises(CampaignError, match="started with another version: it takes no further trials"):
        early.queue.claim(study, 1, source="a")
    assert early.queue.record([ended(claim) for claim in held], held) == []
    assert numbers(late.queue.claim(study, 9, source="b")) == [1, 2, 3]
    attrs = late.get_study_user_attrs(study)
    assert attrs["objective"] == {"name": "m:f", "digest": "b", "source": "x = 1\n"}
    ((change),) = attrs["accepted"]
    assert {key: change[key] for key in ("from", "to", "diff")} == {"from": "a", "to": "b", "diff": "a diff"}
