"""Test one worker on a real storage, with an objective without images: leases, lost slots, rungs and checkpoints."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from stages import open_stage, planned, states

from coarsefine.search.campaign.pruning import Pruning
from coarsefine.search.campaign.space import Point
from coarsefine.search.errors import Interrupted
from coarsefine.search.storage.lease_owner import Owner, is_gone
from coarsefine.search.storage.slots import Slot
from coarsefine.search.storage.tables import lease
from coarsefine.search.training.checkpoints import Checkpoint, Checkpoints, History
from coarsefine.search.training.objective import EpochReport
from coarsefine.search.training.scheduler import SlotGroups
from coarsefine.search.training.worker import Worker


@dataclass(eq=False)
class Toy:
    """A stack whose values depend on the slots' numbers alone."""

    numbers: list[int]
    objective: "ToyObjective"
    epoch: int = 0

    def advance(self):
        self.epoch += 1
        self.objective.during_epoch(self)
        return [EpochReport(number, 1 - 1 / (number + 2), 0.5, 0.5) for number in self.numbers]

    def ask_to_end(self, numbers):
        pass

    def drop(self, numbers):
        self.numbers = [number for number in self.numbers if number not in numbers]

    def join(self, other):
        self.numbers = self.numbers + other.numbers

    def pause(self):
        pass

    def state_of(self, number):
        return {"came": np.array([number, self.epoch])}


@dataclass
class ToyObjective:
    epochs: int
    during_epoch: object = lambda _: None
    started: list = field(default_factory=list)
    resumed: list = field(default_factory=list)

    def width(self):
        return 10

    def kind(self, slot):
        return None

    def start(self, slots, epoch=0, states=()):
        numbers = [slot.number for slot in slots]
        if not epoch:
            self.started.append(numbers)
            return Toy(numbers, self)
        if [state["came"].tolist() for state in states] != [[number, epoch] for number in numbers]:
            raise ValueError("a state of something else")
        self.resumed.append((numbers, epoch))
        return Toy(numbers, self, epoch)


@pytest.fixture
def make_worker(tmp_path):
    """Return a function that makes a worker; the workers of a test share their checkpoints, as on one machine."""

    def make(storage, study, objective, trials, rungs=(), stop=lambda: False):
        pruner, options = ("halving", {"rungs": [*rungs]}) if rungs else ("none", {})
        return Worker(
            storage=storage, study_id=study, objective=objective,
            groups=SlotGroups.of(planned(trials), objective.kind, lambda _: 10, 1),
            pruning=Pruning.of(pruner, options, objective.epochs),
            checkpoints=Checkpoints(tmp_path / "unfinished"), stop=stop,
        )  # fmt: skip

    return make


def test_epoch_may_take_longer_than_a_lease(opened, make_worker):
    """A worker renews its leases during an epoch that takes three times as long: no slot is claimed twice."""
    mine, other = opened(lease_seconds=0.5), opened()
    study = open_stage(mine, 4)
    tries = []

    def during_epoch(_):
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            tries.append(other.queue.claim(study, 4))
            time.sleep(0.02)

    make_worker(mine, study, ToyObjective(1, during_epoch), 4).work()
    assert tries
    assert not any(tries)
    assert states(mine, study) == ["COMPLETE"] * 4


def test_clock_change_does_not_make_a_worker_dead(monkeypatch):
    """Setting the clock does not make a living process count as dead."""
    owner = Owner()
    monkeypatch.setattr("psutil.Process.create_time", lambda _: owner.started + 3600)
    assert not is_gone(SimpleNamespace(**owner.columns()))


def test_closed_storage_releases_its_slots(opened):
    """The slots of a storage that was closed in this process are free at once."""
    first, second = opened(), opened()
    study = open_stage(first, 3)
    first.queue.claim(study, 2)
    assert len(second.queue.claim(study, 3)) == 1
    first.close()
    assert len(second.queue.claim(study, 3)) == 2


@pytest.mark.parametrize("held", ["parked", "survived"])
def test_slot_lost_at_a_rung_is_dropped(opened, make_worker, held):
    """A parked slot whose lease another worker has taken is dropped; the others train to the end."""
    mine, trials = opened(), 70
    study = open_stage(mine, trials)
    stolen = []

    def during_epoch(_):
        waiting = worker.scheduler.survived if held == "survived" else worker.scheduler.parked
        if waiting and not stolen:
            stolen.append(waiting[0].numbers[0])
            lose(mine, worker, stolen[0])

    objective = ToyObjective(3, during_epoch)
    worker = make_worker(mine, study, objective, trials, rungs=(1,))
    worker.work()
    assert stolen
    found = states(mine, study)
    assert found[stolen[0]] == TrialState.RUNNING.name
    assert [state for number, state in enumerate(found) if number != stolen[0] and state == "RUNNING"] == []


@pytest.mark.parametrize("epoch", range(1, 6))
@pytest.mark.parametrize("rungs", [(), (2, 4)], ids=["plain", "halving"])
def test_interrupted_slots_resume_after_their_last_epoch(opened, make_worker, epoch, rungs):
    """A worker that stops after any epoch and resumes trains no epoch twice and records the same values."""
    epochs = 6

    def run(storage, study, asked_to_stop):
        objective = ToyObjective(epochs, lambda stack: trained.extend((n, stack.epoch) for n in stack.numbers))
        make_worker(storage, study, objective, 25, rungs, lambda: asked_to_stop(objective)).work()
        return objective

    trained = []
    undisturbed = opened()
    expected_study = open_stage(undisturbed, 25)
    run(undisturbed, expected_study, lambda _: False)
    expected_epochs, trained = sorted(trained), []
    disturbed = opened()
    study = open_stage(disturbed, 25, "small/second")
    with pytest.raises(Interrupted):
        run(disturbed, study, lambda _: any(came == epoch for _, came in trained))
    objective = run(disturbed, study, lambda _: False)
    assert objective.resumed
    assert sorted(trained) == expected_epochs
    assert table_of(disturbed, study) == table_of(undisturbed, expected_study)


def save_checkpoints(checkpoints, slots, epoch, **wrong):
    """Save checkpoints of slots as a worker that stopped after `epoch` would have."""
    for slot in slots:
        values = [1 - 1 / (slot.number + 2)] * epoch
        state = {"came": np.array([slot.number, wrong.get("came", epoch)])}
        checkpoints.save(slot, Checkpoint(History(values, [0.5] * epoch, [0.5] * epoch), state))


def test_slots_with_checkpoints_of_different_epochs_join(opened, make_worker):
    """Slots that are behind train first, until they reach the others of their claim and join them."""
    storage, trained = opened(), []
    study = open_stage(storage, 8)
    objective = ToyObjective(6, lambda stack: trained.append((sorted(stack.numbers), stack.epoch)))
    worker = make_worker(storage, study, objective, 8)
    slots = planned(8)
    save_checkpoints(worker.checkpoints, slots[:3], 4)
    save_checkpoints(worker.checkpoints, slots[3:5], 2)
    worker.work()
    late, later = [5, 6, 7], [3, 4, 5, 6, 7]
    assert trained == [(late, 1), (late, 2), (later, 3), (later, 4), (list(range(8)), 5), (list(range(8)), 6)]
    assert states(storage, study) == ["COMPLETE"] * 8


def test_checkpoint_that_does_not_fit_is_removed(opened, make_worker):
    """A checkpoint whose arrays do not fit is removed, and its slot starts at the first epoch."""
    storage = opened()
    study = open_stage(storage, 3)
    objective = ToyObjective(4)
    worker = make_worker(storage, study, objective, 3)
    save_checkpoints(worker.checkpoints, planned(3), 2, came=7)
    worker.work()
    assert objective.started == [[0, 1, 2]]
    assert objective.resumed == []
    assert states(storage, study) == ["COMPLETE"] * 3


def lose(storage, worker, number):
    """Let another worker take over one of this worker's slots."""
    claim = worker.recorder.slots[number].claim
    with storage.engine.begin() as connection:
        of_trial = lease.c.trial_id == claim.trial_id
        connection.execute(sa.update(lease).where(of_trial).values(owner="another", attempt=claim.attempt + 1))


def test_objective_that_cannot_start_is_started_once(opened, make_worker):
    """A `ValueError` of an objective that starts without checkpoints reaches the caller, and nothing is tried again."""
    storage, objective, starts = opened(), ToyObjective(2), []
    study = open_stage(storage, 1)

    def failing(*arguments):
        starts.append(arguments)
        raise ValueError("no memory")

    objective.start = failing
    with pytest.raises(ValueError, match="no memory") as caught:
        make_worker(storage, study, objective, 1).work()
    assert len(starts) == 1
    assert caught.value.__context__ is None


def test_slot_lost_while_stacks_are_made(opened, make_worker):
    """A lease that is lost between claim and training costs that slot alone, and its checkpoint stays."""
    storage = opened()
    study = open_stage(storage, 4)
    objective = ToyObjective(6)
    worker = make_worker(storage, study, objective, 4)
    slots = planned(4)
    save_checkpoints(worker.checkpoints, slots[:2], 4)
    save_checkpoints(worker.checkpoints, slots[2:], 2)
    start = objective.start

    def losing(*arguments):
        if not objective.resumed:
            lose(storage, worker, 3)
        return start(*arguments)

    objective.start = losing
    worker.work()
    assert states(storage, study) == ["COMPLETE", "COMPLETE", "COMPLETE", "RUNNING"]
    assert worker.checkpoints.load(slots[3]).epoch == 2
    assert worker.checkpoints.load(slots[2]) is None


def test_suspects_of_a_halving_stage_train_to_the_end(opened, make_worker):
    """Slots that crashed two workers train one by one, while others wait at the rung, to the end."""
    storage, trained = opened(), []
    study = open_stage(storage, 12)
    suspects = storage.queue.claim(study, 3)
    storage.queue.release(suspects)
    with storage.engine.begin() as connection:
        connection.execute(sa.update(lease).values(deaths=2))

    def during_epoch(stack):
        with storage.engine.connect() as connection:
            rows = connection.execute(sa.select(lease.c.trial_id).where(lease.c.owner != "", lease.c.training == 1))
            in_training = {row.trial_id for row in rows}
        held = {number: slot.claim.trial_id for number, slot in worker.recorder.slots.items()}
        trained.append((stack.epoch, sorted(stack.numbers)))
        assert {held[number] for number in stack.numbers} == in_training

    worker = make_worker(storage, study, ToyObjective(4, during_epoch), 12, rungs=(2,))
    worker.work()
    first = [numbers for epoch, numbers in trained if epoch == 1]
    assert first[:3] == [[0], [1], [2]]
    found = states(storage, study)
    assert (found.count("COMPLETE"), found.count("PRUNED")) == (6, 6)


def table_of(storage, study):
    return [(t.number, t.state, t.values, t.intermediate_values) for t in storage.get_all_trials(study)]


SLOT = Slot(3, Point.of({"eta": 0.1, "lambda": 1e-3}), 7)
KEPT = Checkpoint(History([0.5, 0.25], [0.1, None], [0.3, 0.4]), {"W": np.arange(6, dtype=np.float32)})


def test_checkpoint_is_loaded_as_it_was_saved(tmp_path):
    """The newest checkpoint of a slot is loaded bit for bit; a forgotten one is gone."""
    checkpoints = Checkpoints(tmp_path / "unfinished")
    assert checkpoints.load(SLOT) is None
    assert checkpoints.save(SLOT, Checkpoint(History([0.5], [0.1], [0.3]), {"W": np.zeros(6, np.float32)}))
    assert checkpoints.save(SLOT, KEPT)
    found = checkpoints.load(SLOT)
    assert found.history == KEPT.history
    assert found.epoch == 2
    assert found.state["W"].tobytes() == KEPT.state["W"].tobytes()
    assert checkpoints.load(replace(SLOT, seed=8)) is None
    checkpoints.forget([3, 4])
    assert checkpoints.load(SLOT) is None


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_checkpoint_is_not_loaded(tmp_path_factory, data):
    """A checkpoint that is cut short or has a flipped bit is not loaded."""
    folder = tmp_path_factory.mktemp("unfinished")
    checkpoints = Checkpoints(folder)
    checkpoints.save(SLOT, KEPT)
    whole = (folder / "3.checkpoint").read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]) + whole[at + 1 :]
    (folder / "3.checkpoint").write_bytes(data.draw(st.sampled_from([whole[:at], flipped])))
    assert checkpoints.load(SLOT) is None


def test_missing_room_for_checkpoints_is_reported_once(tmp_path):
    """If the folder cannot be written, training continues without checkpoints, and the reason is reported once."""
    (tmp_path / "unfinished").write_text("a file where the folder should be")
    messages = []
    checkpoints = Checkpoints(tmp_path / "unfinished", messages.append)
    assert not checkpoints.save(SLOT, KEPT)
    assert not checkpoints.save(SLOT, KEPT)
    assert len(messages) == 1
    assert "cannot keep the weights of unfinished trials" in messages[0]
    assert "COARSEFINE_CACHE" in messages[0]


def test_imports_of_a_process_do_not_hide_checkpoints(tmp_path):
    """Processes share checkpoints even if one has imported more libraries, such as scikit-learn."""
    script = (
        "import sys; from pathlib import Path; from coarsefine.search.training.checkpoints import Checkpoints\n"
        "if len(sys.argv) > 2: import sklearn.cluster\n"
        "print(Checkpoints.of('study', Path(sys.argv[1]), print)._folder)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    plain, other = (
        subprocess.run([*command, *more], capture_output=True, text=True, check=True).stdout for more in ([], ["more"])
    )
    assert plain == other


def test_old_checkpoints_are_removed(tmp_path):
    """Checkpoints that are a week old are removed when the next campaign starts; the rest stays."""
    unfinished = tmp_path / "unfinished"
    for name, days in (("old", 8), ("new", 6)):
        (unfinished / name).mkdir(parents=True)
        os.utime(unfinished / name, (time.time() - days * 86400,) * 2)
    Checkpoints.of("study", tmp_path, print)
    assert [path.name for path in unfinished.iterdir()] == ["new"]
