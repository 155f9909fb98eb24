"""Test the lease queue on both databases, without any training: claims, records, attempts and lost leases."""

import itertools
import pickle
import signal
import subprocess
import sys
from contextlib import closing, contextmanager

import optuna
import psutil
import pytest
import sqlalchemy as sa
from forked import FORKING
from optuna.trial import TrialState, create_trial
from processes import race, wait_until
from stages import SPACE, ended, finish, numbers, open_stage, planned, running, states

from coarsefine.search.campaign.dimension import Choice, Integer, Uniform
from coarsefine.search.campaign.space import Space
from coarsefine.search.storage import database, tables
from coarsefine.search.storage.lease_owner import Owner
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import create_storage, open_storage
from coarsefine.search.storage.slots import Slot


def test_slots_are_claimed_in_order(opened):
    """Slots are claimed once each in the order of their numbers, with their planned points and seeds."""
    first, second = opened(), opened()
    study = open_stage(first, 5)
    claims = [*first.queue.claim(study, 2), *second.queue.claim(study, 2), *first.queue.claim(study, 9)]
    assert [claim.slot for claim in claims] == planned(5)
    assert {claim.attempt for claim in claims} == {1}
    assert second.queue.claim(study, 9) == []
    assert first.queries.count_training(study) == 5


def test_slots_that_go_together_are_claimed_together(opened):
    """A claim takes the free slots that go together with the first free slot, each once; the others wait."""
    first, second = opened(), opened()
    study = open_stage(first, 7)

    def same_parity(number):
        return range(number, 7, 2)

    assert numbers(first.queue.claim(study, 2, same_parity)) == [0, 2]
    assert numbers(second.queue.claim(study, 9, same_parity)) == [1, 3, 5]
    assert numbers(second.queue.claim(study, 9, lambda _: [0, 2, 4])) == [4]
    assert numbers(first.queue.claim(study, 9)) == [6]
    assert first.queue.claim(study, 9, same_parity) == []


def test_suspected_slot_is_claimed_alone(opened, dying):
    """A slot that two workers died with is claimed first and alone, even if others could train with it."""
    storage = opened()
    study = open_stage(storage, 4)
    for _ in range(2):
        dying().queue.claim(study, 2, lambda _: [1, 2])
    assert numbers(storage.queue.claim(study, 4, lambda number: [number, 3])) == [1]
    assert numbers(storage.queue.claim(study, 4, lambda number: [number, 3])) == [2]
    assert numbers(storage.queue.claim(study, 4, lambda number: [number, 3])) == [0, 3]


def test_claim_takes_no_longer_if_many_slots_wait(tmp_path):
    """To claim and record a slot, SQLite takes as many steps among 2,000 waiting slots as among 20."""

    def steps_among(count):
        with closing(create_storage(locate(tmp_path / f"{count}.db"))) as storage:
            study, steps = open_stage(storage, count), itertools.count()

            def claim_and_record():
                claims = storage.queue.claim(study, 1)
                storage.queue.record([ended(claim) for claim in claims], claims)

            claim_and_record()
            with storage.engine.connect() as connection:  # the pool has no other
                connection.connection.driver_connection.set_progress_handler(lambda: next(steps) and 0, 1)
            claim_and_record()
            return next(steps)

    few = steps_among(20)
    assert few > 100
    assert steps_among(2000) <= 1.2 * few


def test_optuna_reads_points_of_every_type(opened):
    """Floats, integers, strings and booleans are claimed as planned, and Optuna reads the same values."""
    storage = opened()
    mixed, texts = Choice((True, False, 2.5)), Choice(("rbf", "poly"))
    space = Space.of({"x": Uniform(-1.0, 1.0), "m": Integer(25, 100, 25), "k": texts, "b": mixed})
    shares = ((0.1, 0.2, 0.3, 0.4), (0.9, 0.8, 0.7, 0.1))
    slots = [Slot(number, space.point(place), number) for number, place in enumerate(shares)]
    storage.open_study("small/any", {"campaign": "small"}, space, slots)
    study = storage.get_study_id_from_name("small/any")
    claims = storage.queue.claim(study, 2)
    assert [claim.slot for claim in claims] == slots
    storage.queue.record([ended(claim) for claim in claims], claims)
    assert [ending.point for ending in storage.queries.finished_trials(study)] == [slot.point for slot in slots]
    best = optuna.load_study(study_name="small/any", storage=storage)
    assert best.best_params == slots[1].point.as_dict()
    assert [list(trial.params) for trial in best.trials] == [["x", "m", "k", "b"]] * 2
    optuna.create_study().add_trials(best.trials)  # raises ValueError if a value is outside its distribution


def test_optuna_reads_recorded_trials(opened):
    """Optuna reads the recorded values by epoch, attributes, states, and times in order."""
    storage = opened()
    study = open_stage(storage, 3)
    claims = storage.queue.claim(study, 3)
    assert storage.queue.record([running(claim, 1) for claim in claims], claims) == []
    ends = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert storage.queue.record([ended(claim, state) for claim, state in zip(claims, ends, strict=True)], claims) == []
    trials = storage.get_all_trials(study)
    assert [trial.state for trial in trials] == ends
    assert [trial.value for trial in trials] == [0.0, 0.1, None]
    for trial in trials:
        assert trial.intermediate_values == {1: trial.number / 20, 2: trial.number / 10}
        value = None if trial.state is TrialState.FAIL else trial.value
        mark = {"state": trial.state.name, "value": value}
        assert trial.user_attrs == {"seed": 1000 + trial.number, "train_loss": [1.0, 0.5], "ended": mark}
        assert trial.datetime_start <= trial.datetime_complete
    assert storage.queries.count_training(study) == 0


def test_stage_is_opened_once(opened):
    """Opening a stage that exists changes nothing."""
    storage = opened()
    study = open_stage(storage, 3)
    (claim, *_) = storage.queue.claim(study, 1)
    storage.open_study("small/coarse", {"campaign": "other"}, SPACE, planned(7))
    assert states(storage, study) == ["RUNNING", "WAITING", "WAITING"]
    assert storage.get_study_user_attrs(study) == {"campaign": "small", "slots": 3}
    assert claim.slot.number == 0


def test_released_slots_wait_without_their_epochs(opened):
    """A released slot waits without its epochs and is claimed again; the older claim cannot record."""
    first, second = opened(), opened()
    study = open_stage(first, 2)
    claims = first.queue.claim(study, 2)
    first.queue.record([running(claim, 1, 2) for claim in claims], claims)
    first.queue.release(claims)
    assert states(first, study) == ["WAITING", "WAITING"]
    for trial in first.get_all_trials(study):
        assert (trial.intermediate_values, set(trial.user_attrs), trial.datetime_start) == ({}, {"seed"}, None)
    again = second.queue.claim(study, 2)
    assert [(claim.slot, claim.attempt) for claim in again] == [(slot, 2) for slot in planned(2)]
    assert first.queue.record([ended(claim) for claim in claims], claims) == claims
    assert states(first, study) == ["RUNNING", "RUNNING"]


def test_releases_do_not_count_as_deaths(opened):
    """A slot that is released any number of times is still claimed with others, and does not fail."""
    storage = opened()
    study = open_stage(storage, 3)
    for _ in range(5):
        claims = storage.queue.claim(study, 3)
        assert numbers(claims) == [0, 1, 2]
        storage.queue.release(claims)
    assert states(storage, study) == ["WAITING"] * 3


def test_worker_that_lost_its_slots_is_refused(opened, dying):
    """A worker whose expired lease another worker has taken can neither record nor release."""
    late, other = dying(), opened()
    study = open_stage(late, 2)
    claims = late.queue.claim(study, 2)
    assert late.queue.record([running(claim, 1) for claim in claims], claims) == []
    taken = other.queue.claim(study, 2)
    assert numbers(taken) == [0, 1]
    assert late.queue.record([ended(claim) for claim in claims], claims) == claims
    late.queue.release(claims)
    assert states(other, study) == ["RUNNING", "RUNNING"]
    assert other.queue.record([ended(claim) for claim in taken], taken) == []
    assert states(other, study) == ["COMPLETE", "COMPLETE"]


def test_expired_lease_stays_valid_until_another_worker_claims_it(dying):
    """A worker can record with an expired lease as long as no other worker has claimed the slot."""
    late = dying()
    study = open_stage(late, 1)
    claims = late.queue.claim(study, 1)
    assert late.queries.count_training(study) == 0
    assert late.queue.record([ended(claim) for claim in claims], claims) == []
    assert states(late, study) == ["COMPLETE"]


def test_living_owner_on_this_machine_keeps_an_expired_lease(opened):
    """If the clock jumps past the lease of a process that lives on this machine, nobody claims its slots."""
    owner, other = opened(lease_seconds=-1.0), opened()
    study = open_stage(owner, 2)
    claims = owner.queue.claim(study, 2)
    assert other.queue.claim(study, 2) == []
    assert owner.queue.record([ended(claim) for claim in claims], claims) == []
    assert states(other, study) == ["COMPLETE", "COMPLETE"]


def test_living_owner_that_renews_nothing_loses_its_slots(opened):
    """A process of this machine that was watched for a whole lease without renewing it loses its slots, unblamed."""
    owner, other = opened(lease_seconds=-1.0), opened()
    study = open_stage(owner, 1)
    owner.queue.claim(study, 1)
    now = [0.0]
    other.queue._expiry.clock = lambda: now[0]
    looks = 0
    while not (claims := other.queue.claim(study, 1)):
        now[0] += other.lease_seconds / 10
        looks += 1
    assert looks == 10
    assert claims[0].deaths == 0


def test_jump_of_the_databases_clock_takes_no_slot(opened, dying):
    """After the database's clock has jumped ahead, the processes of other machines have time to renew their leases."""
    away, other = dying(), opened()
    study = open_stage(away, 2)
    away.queue.lease_seconds = 60.0
    (held,) = away.queue.claim(study, 1)
    now = [0.0]
    other.queue._expiry.clock = lambda: now[0]
    assert numbers(other.queue.claim(study, 2)) == [1]
    now[0] -= 600.0  # the database's clock is ahead by so much
    away.queue.lease_seconds = -1.0
    away.queue.renew()
    assert other.queue.claim(study, 2) == []
    now[0] += other.lease_seconds / 2
    assert numbers(other.queue.claim(study, 2)) == [held.slot.number]


def test_worker_that_was_taken_for_dead_withdraws_its_death(opened, dying):
    """A worker of another machine whose lease expired counts as dead until it comes back."""
    away, other = dying(), opened()
    study = open_stage(away, 1)
    claims = away.queue.claim(study, 1)
    (taken,) = other.queue.claim(study, 1)
    assert taken.deaths == 1
    assert away.queue.record([ended(claim) for claim in claims], claims) == claims
    other.queue.release([taken])
    assert [claim.deaths for claim in other.queue.claim(study, 1)] == [0]


def test_record_renews_the_leases(opened, dying):
    """A record renews the worker's leases, so that others find no free slot."""
    late, other = dying(), opened()
    study = open_stage(late, 2)
    claims = late.queue.claim(study, 2)
    late.queue.lease_seconds = 60.0
    late.queue.record([running(claims[0], 1)], claims)
    assert other.queue.claim(study, 2) == []
    assert late.queue.record([], claims) == []


SUSPENDED = """
import pickle, sys
from coarsefine.search.storage.opening import open_storage
location, study = pickle.load(sys.stdin.buffer)
storage = open_storage(location, writing=True, lease_seconds=-1.0)
claims = storage.queue.claim(study, 2)
print(len(claims), flush=True)
sys.stdin.buffer.read()
print(len(storage.queue.record([], claims)), flush=True)
"""


def test_suspended_process_loses_its_slots(opened, location):
    """A process that is suspended (SIGSTOP) until its lease expires cannot record once it continues."""
    other = opened()
    study = open_stage(other, 2)
    process = subprocess.Popen([sys.executable, "-c", SUSPENDED], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pickle.dump((location, study), process.stdin)
    process.stdin.flush()
    assert int(process.stdout.readline()) == 2
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    taken = other.queue.claim(study, 2)
    assert numbers(taken) == [0, 1]
    assert [claim.deaths for claim in taken] == [0, 0], "nobody has died"
    assert other.queue.record([ended(taken[0])], taken) == []
    process.send_signal(signal.SIGCONT)
    output, _ = process.communicate(timeout=240)
    assert int(output) == 2
    assert states(other, study) == ["COMPLETE", "RUNNING"]


def test_slots_of_an_ended_process_are_free_at_once(opened):
    """A worker's slots are free as soon as its process on this machine has ended, before the lease expires."""
    dead, other = opened(), opened()
    study = open_stage(dead, 3)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    dead.queue.owner = Owner(pid=process.pid)
    assert len(dead.queue.claim(study, 2)) == 2
    assert dead.queries.count_training(study) == 0
    assert numbers(other.queue.claim(study, 3)) == [0, 1, 2]


def test_process_of_another_machine_keeps_its_lease(opened):
    """The slots of another machine's process are free only when its lease expires."""
    away, other = opened(), opened()
    study = open_stage(away, 2)
    away.queue.owner = Owner(machine="another kernel", pid=2**22 - 1)
    away.queue.claim(study, 1)
    assert numbers(other.queue.claim(study, 2)) == [1]


def test_slot_that_kills_its_worker_fails_and_its_neighbours_do_not(opened, dying):
    """After five deaths, three of them alone, the slot FAILs with the reason; the other four complete."""
    study = open_stage(opened(), 5)
    claimed = []
    while claims := (worker := dying()).queue.claim(study, 3):
        claimed.append(numbers(claims))
        if 1 not in numbers(claims):
            worker.queue.record([ended(claim) for claim in claims], claims)
    assert claimed == [[0, 1, 2], [0, 1, 2], [0], [1], [1], [1], [2], [3, 4]]
    trials = opened().get_all_trials(study)
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    owner = worker.owner
    assert trials[1].user_attrs["reason"].startswith("killed its worker 5 times: ")
    assert trials[1].user_attrs["reason"].count(f"{owner.host} process {owner.pid} in epoch 1, 20") == 5
    assert all("reason" not in trial.user_attrs for trial in trials if trial.number != 1)


def test_slot_whose_process_is_killed_is_tried_again(opened):
    """A slot that its living worker gives up waits again, one attempt and one death later; the third FAILs it."""
    worker, claimed = opened(), []
    study = open_stage(worker, 2)
    while claims := worker.queue.claim(study, 1):
        (claim,) = claims
        claimed.append((claim.slot.number, claim.slot.attempt, claim.deaths))
        if claim.slot.number == 0:
            worker.queue.give_up(claims, "its process was killed")
        else:
            worker.queue.record([ended(claim)], claims)
    assert claimed == [(0, 1, 0), (0, 2, 1), (0, 3, 2), (1, 1, 0)]
    trials = worker.get_all_trials(study)
    assert [trial.state.name for trial in trials] == ["FAIL", "COMPLETE"]
    assert trials[0].user_attrs["reason"].startswith("its process was killed, 3 times: ")


def die_with(worker, study, epochs):
    """Let a worker claim the only slot, record so many epochs, and die; return whether it found the slot."""
    claims = worker.queue.claim(study, 1)
    if claims and epochs:
        worker.queue.record([running(claim, *range(1, epochs + 1)) for claim in claims], [])
        worker.queue.lease_seconds = -1.0
    return bool(claims)


@pytest.mark.parametrize(
    "epochs",
    [[0, 0, 0], [4, 4, 4], [1, 2, 3, 4, 5, 6], [0, 0, 5, 5, 5], [3, 0, 1, 0, 0]],
    ids=["always in the first", "always in the fifth", "ever later", "later, then always the same", "anywhere"],
)
def test_only_deaths_in_the_furthest_epoch_fail_a_slot(opened, dying, epochs):
    """Three deaths in the furthest epoch or five without progress fail a slot; deaths in ever later epochs do not."""
    study = open_stage(opened(), 1)
    assert all(die_with(dying(), study, reached) for reached in epochs)
    last = opened().queue.claim(study, 1)
    assert numbers(last) == ([0] if epochs == [1, 2, 3, 4, 5, 6] else [])
    assert states(opened(), study) == ["RUNNING" if last else "FAIL"]


def test_deaths_are_those_of_one_study(opened, dying):
    """A study that reuses the id of a deleted study does not inherit its deaths."""
    storage = opened()
    study = open_stage(storage, 2)
    for _ in range(2):
        dying().queue.claim(study, 2)
    storage.queue.claim(study, 2)
    storage.delete_study(study)
    again = open_stage(storage, 2, "small/other")
    claims = storage.queue.claim(again, 2)
    assert [(claim.slot.number, claim.attempt) for claim in claims] == [(0, 1), (1, 1)]


def test_slot_that_ask_set_running_is_claimed(opened):
    """A slot that `study.ask()` set RUNNING is claimed, so that the stage does not hang."""
    storage = opened()
    study = open_stage(storage, 2)
    strays = storage.get_all_trials(study)
    storage.set_trial_state_values(strays[0]._trial_id, TrialState.RUNNING)
    storage.set_trial_intermediate_value(strays[0]._trial_id, 1, 0.1)
    assert finish(storage, study, 2) == [[1], [0]]
    assert storage.get_all_trials(study)[0].intermediate_values == {1: 0.0, 2: 0.0}


def test_trial_that_is_not_a_slot_is_left_unchanged(opened):
    """A trial that `study.ask()` or `enqueue_trial` adds is neither claimed nor reset, and blocks no slot."""
    storage = opened()
    study = open_stage(storage, 2)
    asked = storage.create_new_trial(study)
    storage.set_trial_intermediate_value(asked, 1, 0.25)
    waiting = storage.create_new_trial(study, create_trial(state=TrialState.WAITING))
    assert finish(storage, study, 1) == [[0], [1]]
    assert storage.get_trial(asked).state is TrialState.RUNNING
    assert storage.get_trial(asked).intermediate_values == {1: 0.25}
    assert storage.get_trial(waiting).state is TrialState.WAITING


def test_copy_of_a_slot_is_no_slot(opened):
    """A trial that was enqueued or added with a slot's attributes is neither claimed nor counted."""
    storage = opened()
    open_stage(storage, 2)
    study = optuna.load_study(study_name="small/coarse", storage=storage)
    study.enqueue_trial({"eta": 0.1, "lambda": 1e-3}, user_attrs={"seed": 1})
    study.add_trial(study.trials[0])
    assert storage.queries.count_unfinished(study._study_id) == 2
    assert finish(storage, study._study_id, 1) == [[0], [1]]
    assert states(storage, study._study_id)[2:] == ["WAITING", "WAITING"]
    assert storage.queries.standing(study._study_id, None).others == (2, 3)


@pytest.mark.parametrize("slots", ["many", "12345678901", "-1", "null", "3.5", '"5"'])
def test_number_of_slots_that_cannot_be_one_is_as_good_as_none(opened, slots):
    """If what another program made of the number of slots cannot be one, all trials with a seed are slots."""
    storage = opened()
    study = open_stage(storage, 5)
    edit = sa.update(tables.study_attrs).where(tables.study_attrs.c.key == tables.SLOTS).values(value_json=slots)
    forget = sa.delete(tables.study_system_attrs)
    storage.database.transact(lambda connection: [connection.execute(each) for each in (edit, forget)])
    assert storage.queries.progress(study).trials == 5
    assert finish(storage, study, 9) == [[0, 1, 2, 3, 4]]


def test_slots_are_counted_as_they_were_opened(opened):
    """If another program edits a study's number of slots, its copy counts."""
    storage = opened()
    study = open_stage(storage, 5)
    storage.set_study_user_attr(study, tables.SLOTS, 2)
    assert finish(storage, study, 9) == [[0, 1, 2, 3, 4]]
    assert storage.queries.progress(study).trials == 5


def test_slot_that_others_set_waiting_stays_claimed(opened):
    """A slot that another program sets WAITING while it trains is not claimed again, and its worker can record it."""
    storage, other = opened(), opened()
    study = open_stage(storage, 2)
    claims = storage.queue.claim(study, 1)
    storage.set_trial_state_values(claims[0].trial_id, TrialState.WAITING)
    assert numbers(other.queue.claim(study, 2)) == [1]
    assert storage.queue.record([running(claims[0], 1)], claims) == []
    assert states(storage, study) == ["RUNNING", "RUNNING"]


def test_slot_that_ended_is_not_claimed_again(opened):
    """A slot that is set WAITING or RUNNING in the database after its end is neither claimed nor awaited, but named."""
    storage = opened()
    study = open_stage(storage, 3)
    assert finish(storage, study, 3) == [[0, 1, 2]]
    for number, state in ((0, TrialState.WAITING), (1, TrialState.RUNNING)):
        changed = tables.trials.update().where(tables.trials.c.number == number).values(state=state)
        storage.database.transact(lambda connection, changed=changed: connection.execute(changed))
    assert storage.queue.claim(study, 3) == []
    assert storage.queries.count_unfinished(study) == 0
    assert storage.queries.standing(study, None).changed == (0, 1)


def test_slots_of_another_study_are_not_claimed(opened):
    """If a study was deleted and another one has its id, a worker that knows its identity claims nothing."""
    storage = opened()
    study = open_stage(storage, 2, identity="first")
    assert numbers(storage.queue.claim(study, 1, identity="first")) == [0]
    storage.delete_study(study)
    assert storage.queue.claim(study, 1, identity="first") == []
    again = open_stage(storage, 2, identity="second")
    assert storage.queue.claim(again, 1, identity="first") == []
    assert storage.queries.standing(again, "first").name is None
    assert numbers(storage.queue.claim(again, 1, identity="second")) == [0]


def test_trial_with_the_id_of_a_deleted_slot_is_left_alone(opened, dying):
    """Neither a record nor the death of a worker changes a trial of another program that has a deleted slot's id."""
    storage, dead = opened(), dying()
    study = open_stage(storage, 2)
    held = [*storage.queue.claim(study, 1), *dead.queue.claim(study, 1)]
    storage.delete_study(study)
    theirs = optuna.create_study(study_name="theirs", storage=storage)
    for _ in held:
        theirs.ask().report(0.25, 1)
    assert storage.queue.record([ended(claim) for claim in held], held) == held
    storage.queue.claim(theirs._study_id, 2)
    assert [trial.intermediate_values for trial in theirs.trials] == [{1: 0.25}] * 2
    assert states(storage, theirs._study_id) == ["RUNNING"] * 2


def test_slots_of_a_closed_storage_are_free(opened):
    """The slots of a storage that was closed in this process are free for the next one."""
    first, second = opened(), opened()
    study = open_stage(first, 2)
    assert len(first.queue.claim(study, 2)) == 2
    assert second.queue.claim(study, 2) == []
    first.close()
    assert second.queries.count_training(study) == 0
    assert numbers(second.queue.claim(study, 2)) == [0, 1]


def test_trial_that_a_dashboard_ended_is_left_unchanged(opened, dying):
    """A slot that was ended in a dashboard keeps its state, and its lease is removed."""
    storage = opened()
    study = open_stage(storage, 2)
    claims = dying().queue.claim(study, 2)
    storage.set_trial_state_values(claims[0].trial_id, TrialState.COMPLETE, [0.75])
    assert numbers(opened().queue.claim(study, 2)) == [1]
    assert storage.get_all_trials(study)[0].value == 0.75
    mine = opened()
    (held,) = mine.queue.claim(open_stage(storage, 1, "small/other"), 1)
    storage.set_trial_state_values(held.trial_id, TrialState.FAIL)
    assert mine.queue.record([ended(held)], [held]) == [held]


def lose_answers(monkeypatch, times):
    """Let that many transactions be committed and then raise, as if the server had died before it answered."""
    real, left = database.transaction, iter(range(times))

    @contextmanager
    def losing(*arguments):
        with real(*arguments) as connection:
            yield connection
        if next(left, None) is not None:
            raise sa.exc.OperationalError("COMMIT", {}, Exception("gone"), connection_invalidated=True)

    monkeypatch.setattr(database, "transaction", losing)


def test_lost_answer_loses_no_slot(opened, monkeypatch):
    """A worker whose claim was committed without an answer claims the same slots again, and no others."""
    storage = opened()
    study = open_stage(storage, 5)
    before = storage.queue.claim(study, 1)
    lose_answers(monkeypatch, 2)
    claims = storage.queue.claim(study, 2)
    assert numbers(claims) == [1, 2]
    assert states(storage, study) == ["RUNNING"] * 3 + ["WAITING"] * 2
    assert storage.queue.record([ended(claim) for claim in claims], [*before, *claims]) == []


def test_lost_answer_repeats_nothing(opened, monkeypatch):
    """Writing a stage, epoch, end or release again after a lost answer changes nothing."""
    storage = opened()
    lose_answers(monkeypatch, 1)
    study = open_stage(storage, 3)
    assert states(storage, study) == ["WAITING"] * 3
    claims = storage.queue.claim(study, 3)
    lose_answers(monkeypatch, 1)
    assert storage.queue.record([running(claim, 1) for claim in claims], claims) == []
    lose_answers(monkeypatch, 1)
    assert storage.queue.record([ended(claim) for claim in claims[:2]], claims) == []
    lose_answers(monkeypatch, 1)
    storage.queue.release(claims[2:])
    assert states(storage, study) == ["COMPLETE", "COMPLETE", "WAITING"]
    assert [trial.value for trial in storage.get_all_trials(study)] == [0.0, 0.1, None]


def test_unpickled_storage_is_another_worker(opened):
    """An unpickled storage is a new worker, which holds none of the original's slots."""
    storage = opened()
    study = open_stage(storage, 2)
    claims = storage.queue.claim(study, 1)
    other = pickle.loads(pickle.dumps(storage))  # noqa: S301 - our own
    assert other.owner.id != storage.owner.id
    other.queue.release(claims)
    assert numbers(other.queue.claim(study, 2)) == [1]
    other.close()


def test_sixteen_processes_share_a_stage(address):
    """Sixteen processes that create a stage of 320 slots at once claim each slot once, in one study."""
    barrier, results = FORKING.Barrier(16), FORKING.SimpleQueue()
    racers = [FORKING.Process(target=race, args=(address, planned(320), SPACE, barrier, results)) for _ in range(16)]
    for racer in racers:
        racer.start()
    found = [results.get() for _ in racers]
    assert [error for error in found if isinstance(error, str)] == []
    claimed = [number for slots in found for number in slots]
    for racer in racers:
        racer.join(240)
        assert racer.exitcode == 0
    assert sorted(claimed) == list(range(320))
    storage = open_storage(locate(address))
    (study,) = storage.get_all_studies()
    assert states(storage, study._study_id) == ["COMPLETE"] * 320
    storage.close()
