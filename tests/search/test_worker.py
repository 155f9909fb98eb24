"""One worker on a real storage, with an objective that needs no images: leases, losses, rungs."""

import os
import time
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from test_queue import open_stage, states

from search.checkpoints import Checkpoint, Checkpoints, History
from search.errors import Interrupted
from search.halving import NO_HALVING, Halving
from search.objective import EpochReport
from search.slot import Owner, Slot, is_gone
from search.space import Point
from search.tables import lease
from search.worker import Worker


@dataclass(eq=False)
class Toy:
    """A stack whose values follow from the slots' numbers."""

    numbers: list[int]
    objective: "ToyObjective"
    epoch: int = 0

    def run_epoch(self):
        self.epoch += 1
        self.objective.amid_epoch(self)
        return [EpochReport(number, 1 - 1 / (number + 2), 0.5, 0.5, None) for number in self.numbers]

    def drop(self, numbers):
        self.numbers = [number for number in self.numbers if number not in numbers]

    def join(self, other):
        self.numbers = self.numbers + other.numbers

    def state_of(self, number):
        return {"came": np.array([number, self.epoch])}


@dataclass
class ToyObjective:
    epochs: int
    amid_epoch: object = lambda _: None
    started: list = field(default_factory=list)
    resumed: list = field(default_factory=list)

    def width(self):
        return 10

    def start(self, slots):
        self.started.append([slot.number for slot in slots])
        return Toy([slot.number for slot in slots], self)

    def resume(self, slots, epoch, states):
        numbers = [slot.number for slot in slots]
        assert [state["came"].tolist() for state in states] == [[number, epoch] for number in numbers]
        self.resumed.append((numbers, epoch))
        return Toy(numbers, self, epoch)


@pytest.fixture
def working(tmp_path):
    """Return a function that makes a worker; all of a test share their checkpoints, as on one machine."""

    def make(storage, study, objective, trials, halving=NO_HALVING, stop=lambda: False):
        return Worker(
            storage=storage, study_id=study, objective=objective, trials=trials, stack=10, workers=1, halving=halving,
            checkpoints=Checkpoints(tmp_path / "unfinished"), stop=stop,
            claimed=lambda _: None, resumed=lambda *_: None, recorded=lambda _: None,
        )  # fmt: skip

    return make


def test_epoch_may_take_longer_than_a_lease(opened, working):
    """A worker keeps its leases through an epoch of three leases' length: nobody else is given its slots."""
    mine, other = opened(lease_seconds=0.5), opened()
    study = open_stage(mine, 4)
    tries = []

    def amid_epoch(_):
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            tries.append(other.claim(study, 4))
            time.sleep(0.02)

    working(mine, study, ToyObjective(1, amid_epoch), 4).work()
    assert tries
    assert not any(tries)
    assert states(mine, study) == ["COMPLETE"] * 4


def test_clock_that_is_set_makes_no_living_worker_dead(monkeypatch):
    """Whether a process still runs does not hang on the time of day, which may be set meanwhile."""
    owner = Owner()
    monkeypatch.setattr("psutil.Process.create_time", lambda _: owner.started + 3600)
    assert not is_gone(owner.id, owner.machine, owner.pid, owner.started)


def test_storage_that_was_closed_holds_nothing(opened):
    """Where a run in this process ended without its database, the next in the same process takes its slots at once."""
    first, second = opened(), opened()
    study = open_stage(first, 3)
    first.claim(study, 2)
    assert len(second.claim(study, 3)) == 1
    first.close()
    assert len(second.claim(study, 3)) == 2


@pytest.mark.parametrize("held", ["parked", "survived"])
def test_slot_lost_at_a_rung_is_let_go(opened, working, held):
    """A slot whose lease another has taken while it waits at a rung is dropped; the others go on to their end."""
    mine, trials = opened(), 70
    study = open_stage(mine, trials)
    stolen = []

    def amid_epoch(stack):
        waiting = worker._parked
        if held == "survived":
            waiting = [ready for ready in worker._ready if ready is not stack]
        if waiting and not stolen:
            stolen.append(waiting[0].numbers[0])
            claim = worker._lanes[stolen[0]].claim
            with mine.engine.begin() as connection:
                of_it = lease.c.trial_id == claim.trial_id
                connection.execute(sa.update(lease).where(of_it).values(owner="another", attempt=claim.attempt + 1))

    objective = ToyObjective(3, amid_epoch)
    worker = working(mine, study, objective, trials, Halving((1,), 2.0))
    worker.work()
    assert stolen
    found = states(mine, study)
    assert found[stolen[0]] == TrialState.RUNNING.name
    assert [state for number, state in enumerate(found) if number != stolen[0] and state == "RUNNING"] == []


@pytest.mark.parametrize("epoch", range(1, 6))
@pytest.mark.parametrize("halving", [NO_HALVING, Halving((2, 4), 2.0)], ids=["plain", "halving"])
def test_slots_left_amid_their_training_are_gone_on_with(opened, working, epoch, halving):
    """Stopped after any epoch and come back, no epoch is trained twice, and the table is that of one calm run."""
    epochs = 6

    def run(storage, study, asked_to_stop):
        objective = ToyObjective(epochs, lambda stack: trained.extend((n, stack.epoch) for n in stack.numbers))
        working(storage, study, objective, 25, halving, lambda: asked_to_stop(objective)).work()
        return objective

    trained = []
    calm = opened()
    calm_study = open_stage(calm, 25)
    run(calm, calm_study, lambda _: False)
    calmly, trained = sorted(trained), []
    disturbed = opened()
    study = open_stage(disturbed, 25, "small/second")
    with pytest.raises(Interrupted):
        run(disturbed, study, lambda _: any(came == epoch for _, came in trained))
    objective = run(disturbed, study, lambda _: False)
    assert objective.resumed
    assert sorted(trained) == calmly
    assert table_of(disturbed, study) == table_of(calm, calm_study)


def table_of(storage, study):
    return [(t.number, t.state, t.values, t.intermediate_values) for t in storage.get_all_trials(study)]


SLOT = Slot(3, Point(0.1, 1e-3), 7)
KEPT = Checkpoint(History([0.5, 0.25], [0.1, None], [0.3, 0.4]), {"W": np.arange(6, dtype=np.float32)})


def test_checkpoint_comes_back_as_it_was(tmp_path):
    """What was saved of a slot is loaded to the bit; the newest counts; what was forgotten is gone."""
    checkpoints = Checkpoints(tmp_path / "unfinished")
    assert checkpoints.load(SLOT) is None
    checkpoints.save(SLOT, Checkpoint(History([0.5], [0.1], [0.3]), {"W": np.zeros(6, np.float32)}))
    checkpoints.save(SLOT, KEPT)
    found = checkpoints.load(SLOT)
    assert found.history == KEPT.history
    assert found.epoch == 2
    assert found.state["W"].tobytes() == KEPT.state["W"].tobytes()
    assert checkpoints.load(replace(SLOT, seed=8)) is None
    checkpoints.forget([3, 4])
    assert checkpoints.load(SLOT) is None


@settings(max_examples=200)
@given(data=st.data())
def test_damaged_checkpoint_is_none(tmp_path_factory, data):
    """Cut short, or with any bit of its numbers turned, a checkpoint is not used."""
    folder = tmp_path_factory.mktemp("unfinished")
    checkpoints = Checkpoints(folder)
    checkpoints.save(SLOT, KEPT)
    path = folder / "3.npz"
    whole = path.read_bytes()
    if data.draw(st.booleans()):
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        assert checkpoints.load(SLOT) is None
    else:
        at = whole.index(KEPT.state["W"].tobytes()) + data.draw(st.integers(0, 23))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]) + whole[at + 1 :])
        assert checkpoints.load(SLOT) is None


def test_no_room_for_checkpoints_is_said_once(tmp_path):
    """Where the folder cannot be written, training goes on without checkpoints, and the reason is told once."""
    (tmp_path / "unfinished").write_text("a file where the folder should be")
    told = []
    checkpoints = Checkpoints(tmp_path / "unfinished", told.append)
    checkpoints.save(SLOT, KEPT)
    checkpoints.save(SLOT, KEPT)
    assert len(told) == 1
    assert "cannot keep the weights of unfinished trials" in told[0]
    assert "COARSEFINE_CACHE" in told[0]


def test_checkpoints_nobody_came_back_to_are_removed(tmp_path):
    """What a week has not touched is removed when the next campaign begins; the rest stays."""
    unfinished = tmp_path / "unfinished"
    for name, days in (("old", 8), ("new", 6)):
        (unfinished / name).mkdir(parents=True)
        os.utime(unfinished / name, (time.time() - days * 86400,) * 2)
    Checkpoints.of("sqlite:///s.db", "small/coarse", {}, tmp_path, print)
    assert [path.name for path in unfinished.iterdir()] == ["new"]
