"""The queue alone, on both databases: claims, records, fences and what is left behind, without any training."""

import multiprocessing
import pickle
import signal
import subprocess
import sys
from contextlib import contextmanager

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState, create_trial
from processes import race
from stages import SPACE, ended, finish, going, numbers, open_stage, planned, states

from coarsefine.search.campaign.dimension import Choice, Integer, Uniform
from coarsefine.search.campaign.space import Space
from coarsefine.search.storage import database
from coarsefine.search.storage.lease_owner import Owner
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage
from coarsefine.search.storage.slots import Slot


@pytest.fixture
def dying(opened):
    """Return a function that opens the storage as a worker whose leases run out at once."""
    return lambda: opened(lease_seconds=-1.0)


def test_slots_come_in_order_with_point_and_seed(opened):
    """Slots are claimed lowest numbers first, each once, as they were planned; after the last there is none."""
    first, second = opened(), opened()
    study = open_stage(first, 5)
    claims = [*first.queue.claim(study, 2), *second.queue.claim(study, 2), *first.queue.claim(study, 9)]
    assert [claim.slot for claim in claims] == planned(5)
    assert {claim.attempt for claim in claims} == {1}
    assert second.queue.claim(study, 9) == []
    assert first.queries.count_training(study) == 5


def test_slots_that_go_together_are_claimed_together(opened):
    """Of the first free slot's company only what is free is claimed, each once; the others wait for their own turn."""
    first, second = opened(), opened()
    study = open_stage(first, 7)

    def like(number):
        return range(number, 7, 2)

    assert numbers(first.queue.claim(study, 2, like)) == [0, 2]
    assert numbers(second.queue.claim(study, 9, like)) == [1, 3, 5]
    assert numbers(second.queue.claim(study, 9, lambda _: [0, 2, 4])) == [4]
    assert numbers(first.queue.claim(study, 9)) == [6]
    assert first.queue.claim(study, 9, like) == []


def test_slot_that_is_suspected_comes_alone_among_its_like(opened, dying):
    """What two workers died with is claimed first and alone, whatever it could be trained with."""
    storage = opened()
    study = open_stage(storage, 4)
    for _ in range(2):
        dying().queue.claim(study, 2, lambda _: [1, 2])
    assert numbers(storage.queue.claim(study, 4, lambda number: [number, 3])) == [1]
    assert numbers(storage.queue.claim(study, 4, lambda number: [number, 3])) == [2]
    assert numbers(storage.queue.claim(study, 4, lambda number: [number, 3])) == [0, 3]


def test_points_of_any_kind_are_optunas(opened):
    """Numbers, whole numbers, texts and truths are claimed as they were planned, and read by Optuna as they were."""
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
    optuna.create_study().add_trials(best.trials)  # Optuna holds trials to their distributions


def test_recorded_epochs_and_ends_are_optunas(opened):
    """What is recorded reads as Optuna's: values by epoch, attributes, states, and times in order."""
    storage = opened()
    study = open_stage(storage, 3)
    claims = storage.queue.claim(study, 3)
    assert storage.queue.record([going(claim, 1) for claim in claims], claims) == []
    ends = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert storage.queue.record([ended(claim, state) for claim, state in zip(claims, ends, strict=True)], claims) == []
    trials = storage.get_all_trials(study)
    assert [trial.state for trial in trials] == ends
    assert [trial.value for trial in trials] == [0.0, 0.1, None]
    for trial in trials:
        assert trial.intermediate_values == {1: trial.number / 20, 2: trial.number / 10}
        assert trial.user_attrs == {"seed": 1000 + trial.number, "train_loss": [1.0, 0.5]}
        assert trial.datetime_start <= trial.datetime_complete
    assert storage.queries.count_training(study) == 0


def test_stage_is_opened_once(opened):
    """A stage that exists is not opened again: its slots stay as they are."""
    storage = opened()
    study = open_stage(storage, 3)
    (claim, *_) = storage.queue.claim(study, 1)
    storage.open_study("small/coarse", {"campaign": "other"}, SPACE, planned(7))
    assert states(storage, study) == ["RUNNING", "WAITING", "WAITING"]
    assert storage.get_study_user_attrs(study) == {"campaign": "small"}
    assert claim.slot.number == 0


def test_released_slots_wait_as_if_never_begun(opened):
    """What is given back waits without its epochs, is claimed again, and no older claim on it can record."""
    first, second = opened(), opened()
    study = open_stage(first, 2)
    claims = first.queue.claim(study, 2)
    first.queue.record([going(claim, 1, 2) for claim in claims], claims)
    first.queue.release(claims)
    assert states(first, study) == ["WAITING", "WAITING"]
    for trial in first.get_all_trials(study):
        assert (trial.intermediate_values, set(trial.user_attrs), trial.datetime_start) == ({}, {"seed"}, None)
    again = second.queue.claim(study, 2)
    assert [(claim.slot, claim.attempt) for claim in again] == [(slot, 2) for slot in planned(2)]
    assert first.queue.record([ended(claim) for claim in claims], claims) == claims
    assert states(first, study) == ["RUNNING", "RUNNING"]


def test_releases_are_no_deaths(opened):
    """However often Ctrl-C gives a slot back, it is claimed again in company, and never fails for it."""
    storage = opened()
    study = open_stage(storage, 3)
    for _ in range(5):
        claims = storage.queue.claim(study, 3)
        assert numbers(claims) == [0, 1, 2]
        storage.queue.release(claims)
    assert states(storage, study) == ["WAITING"] * 3


def test_late_writer_is_refused(opened, dying):
    """A worker whose lease ran out, and whose slot went to another, can neither record nor release."""
    late, other = dying(), opened()
    study = open_stage(late, 2)
    claims = late.queue.claim(study, 2)
    assert late.queue.record([going(claim, 1) for claim in claims], claims) == []
    taken = other.queue.claim(study, 2)
    assert numbers(taken) == [0, 1]
    assert late.queue.record([ended(claim) for claim in claims], claims) == claims
    late.queue.release(claims)
    assert states(other, study) == ["RUNNING", "RUNNING"]
    assert other.queue.record([ended(claim) for claim in taken], taken) == []
    assert states(other, study) == ["COMPLETE", "COMPLETE"]


def test_late_writer_whose_slot_nobody_took_goes_on(dying):
    """A lease that ran out is still its worker's as long as nobody else asked: nothing computed is thrown away."""
    late = dying()
    study = open_stage(late, 1)
    claims = late.queue.claim(study, 1)
    assert late.queries.count_training(study) == 0
    assert late.queue.record([ended(claim) for claim in claims], claims) == []
    assert states(late, study) == ["COMPLETE"]


def test_renewed_lease_is_nobody_elses(opened, dying):
    """A record renews what its worker holds, so that others find nothing free."""
    late, other = dying(), opened()
    study = open_stage(late, 2)
    claims = late.queue.claim(study, 2)
    late.queue.lease_seconds = 60.0
    late.queue.record([going(claims[0], 1)], claims)
    assert other.queue.claim(study, 2) == []
    assert late.queue.record([], claims) == []


STOPPED = """
import pickle, sys
from coarsefine.search.storage.opening import open_storage
location, study = pickle.load(sys.stdin.buffer)
storage = open_storage(location, writing=True, lease_seconds=-1.0)
claims = storage.queue.claim(study, 2)
print(len(claims), flush=True)
sys.stdin.buffer.read()
print(len(storage.queue.record([], claims)), flush=True)
"""


def test_stopped_past_its_lease_then_awake(opened, location):
    """A process stopped (SIGSTOP) past its lease wakes to find its slots taken: what it writes is refused."""
    other = opened()
    study = open_stage(other, 2)
    process = subprocess.Popen([sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pickle.dump((location, study), process.stdin)
    process.stdin.flush()
    assert int(process.stdout.readline()) == 2
    process.send_signal(signal.SIGSTOP)
    taken = other.queue.claim(study, 2)
    assert numbers(taken) == [0, 1]
    assert other.queue.record([ended(taken[0])], taken) == []
    process.send_signal(signal.SIGCONT)
    told, _ = process.communicate(timeout=240)
    assert int(told) == 2
    assert states(other, study) == ["COMPLETE", "RUNNING"]


def test_slot_of_a_process_that_is_gone_comes_back_at_once(opened):
    """A worker's slots are free as soon as its process is gone from this machine, long before the lease runs out."""
    dead, other = opened(), opened()
    study = open_stage(dead, 3)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    dead.queue.owner = Owner(pid=process.pid)
    assert len(dead.queue.claim(study, 2)) == 2
    assert dead.queries.count_training(study) == 0
    assert numbers(other.queue.claim(study, 3)) == [0, 1, 2]


def test_process_of_another_machine_is_not_taken_for_dead(opened):
    """A process number says nothing of another machine, even one of the same host name: its lease must run out."""
    away, other = opened(), opened()
    study = open_stage(away, 2)
    away.queue.owner = Owner(machine="another kernel", pid=2**22 - 1)
    away.queue.claim(study, 1)
    assert numbers(other.queue.claim(study, 2)) == [1]


def test_slot_that_kills_its_worker_fails_and_its_neighbours_do_not(opened, dying):
    """After three deaths without neighbours the slot FAILs with its story; the rest of 5 completes."""
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


def die_with(worker, study, epochs):
    """Let a worker claim the only slot, record so many epochs, and die; return whether it found the slot."""
    claims = worker.queue.claim(study, 1)
    if claims and epochs:
        worker.queue.record([going(claim, *range(1, epochs + 1)) for claim in claims], [])
        worker.queue.lease_seconds = -1.0
    return bool(claims)


@pytest.mark.parametrize(
    "epochs",
    [[0, 0, 0], [4, 4, 4], [1, 2, 3, 4, 5, 6], [0, 0, 5, 5, 5], [3, 0, 1, 0, 0]],
    ids=["always at first", "always in the fifth", "ever further", "passed, then stuck", "anywhere"],
)
def test_death_in_an_epoch_that_another_attempt_passed_is_not_the_slots_fault(opened, dying, epochs):
    """Three deaths in the furthest epoch fail a slot, not three anywhere; five that came no further do."""
    study = open_stage(opened(), 1)
    assert all(die_with(dying(), study, reached) for reached in epochs)
    last = opened().queue.claim(study, 1)
    assert numbers(last) == ([0] if epochs == [1, 2, 3, 4, 5, 6] else [])
    assert states(opened(), study) == ["RUNNING" if last else "FAIL"]


def test_deaths_are_those_of_one_study(opened, dying):
    """Optuna may delete a study, whose ids SQLite gives out again: the next study's slots begin without a past."""
    storage = opened()
    study = open_stage(storage, 2)
    for _ in range(2):
        dying().queue.claim(study, 2)
    storage.queue.claim(study, 2)
    storage.delete_study(study)
    again = open_stage(storage, 2, "small/other")
    claims = storage.queue.claim(again, 2)
    assert [(claim.slot.number, claim.attempt) for claim in claims] == [(0, 1), (1, 1)]


def test_trial_that_somebody_asked_for_is_claimed_all_the_same(opened):
    """A slot that `study.ask()` set RUNNING, which nobody will end, does not hang the stage."""
    storage = opened()
    study = open_stage(storage, 2)
    strays = storage.get_all_trials(study)
    storage.set_trial_state_values(strays[0]._trial_id, TrialState.RUNNING)
    storage.set_trial_intermediate_value(strays[0]._trial_id, 1, 0.1)
    assert finish(storage, study, 2) == [[1], [0]]
    assert storage.get_all_trials(study)[0].intermediate_values == {1: 0.0, 2: 0.0}


def test_trial_that_is_no_slot_is_left_alone(opened):
    """What `study.ask()` or `enqueue_trial` adds is neither claimed nor reset, and keeps no slot from being claimed."""
    storage = opened()
    study = open_stage(storage, 2)
    asked = storage.create_new_trial(study)
    storage.set_trial_intermediate_value(asked, 1, 0.25)
    waiting = storage.create_new_trial(study, create_trial(state=TrialState.WAITING))
    assert finish(storage, study, 1) == [[0], [1]]
    assert storage.get_trial(asked).state is TrialState.RUNNING
    assert storage.get_trial(asked).intermediate_values == {1: 0.25}
    assert storage.get_trial(waiting).state is TrialState.WAITING


def test_slots_of_a_storage_that_was_closed_come_back(opened):
    """Where a run ended without its database, and could give nothing back, the next in the same process goes on."""
    first, second = opened(), opened()
    study = open_stage(first, 2)
    assert len(first.queue.claim(study, 2)) == 2
    assert second.queue.claim(study, 2) == []
    first.close()
    assert second.queries.count_training(study) == 0
    assert numbers(second.queue.claim(study, 2)) == [0, 1]


def test_trial_that_somebody_ended_is_left_alone(opened, dying):
    """A slot that was ended in a dashboard meanwhile stays as it was ended, and nothing of its lease is left."""
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
    """Let transactions be committed and their answers be lost, as when a server dies just then."""
    real, left = database.transaction, iter(range(times))

    @contextmanager
    def losing(engine):
        with real(engine) as connection:
            yield connection
        if next(left, None) is not None:
            raise sa.exc.OperationalError("COMMIT", {}, Exception("gone"), connection_invalidated=True)

    monkeypatch.setattr(database, "transaction", losing)


def test_lost_answer_loses_no_slot(opened, monkeypatch):
    """Slots whose claim was committed without an answer come back to the same worker, and no others are held."""
    storage = opened()
    study = open_stage(storage, 5)
    before = storage.queue.claim(study, 1)
    lose_answers(monkeypatch, 2)
    claims = storage.queue.claim(study, 2)
    assert numbers(claims) == [1, 2]
    assert states(storage, study) == ["RUNNING"] * 3 + ["WAITING"] * 2
    assert storage.queue.record([ended(claim) for claim in claims], [*before, *claims]) == []


def test_lost_answer_repeats_nothing(opened, monkeypatch):
    """Stages, epochs, ends and releases committed without an answer are the same when they are written again."""
    storage = opened()
    lose_answers(monkeypatch, 1)
    study = open_stage(storage, 3)
    assert states(storage, study) == ["WAITING"] * 3
    claims = storage.queue.claim(study, 3)
    lose_answers(monkeypatch, 1)
    assert storage.queue.record([going(claim, 1) for claim in claims], claims) == []
    lose_answers(monkeypatch, 1)
    assert storage.queue.record([ended(claim) for claim in claims[:2]], claims) == []
    lose_answers(monkeypatch, 1)
    storage.queue.release(claims[2:])
    assert states(storage, study) == ["COMPLETE", "COMPLETE", "WAITING"]
    assert [trial.value for trial in storage.get_all_trials(study)] == [0.0, 0.1, None]


def test_unpickled_storage_is_another_worker(opened):
    """A storage sent to another process is a worker of its own there, which holds nothing of the sender's."""
    storage = opened()
    study = open_stage(storage, 2)
    claims = storage.queue.claim(study, 1)
    other = pickle.loads(pickle.dumps(storage))  # noqa: S301 - our own
    assert other.owner.id != storage.owner.id
    other.queue.release(claims)
    assert numbers(other.queue.claim(study, 2)) == [1]
    other.close()


def test_sixteen_processes_share_a_stage(address):
    """Sixteen processes make tables, stage and slots at once and claim 320 of them: one study, and each slot once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["coarsefine.search.storage.optuna_storage", "alembic.migration", "alembic.script"])
    barrier, told = context.Barrier(16), context.SimpleQueue()
    racers = [context.Process(target=race, args=(address, planned(320), SPACE, barrier, told)) for _ in range(16)]
    for racer in racers:
        racer.start()
    claimed = [number for _ in racers for number in told.get()]
    for racer in racers:
        racer.join(240)
        assert racer.exitcode == 0
    assert sorted(claimed) == list(range(320))
    storage = open_storage(locate(address))
    (study,) = storage.get_all_studies()
    assert states(storage, study._study_id) == ["COMPLETE"] * 320
    storage.close()
