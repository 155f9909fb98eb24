"""One worker on a real storage, with an objective that needs no images: leases, losses, rungs."""

import time
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState
from test_queue import open_stage, states

from search.halving import NO_HALVING, Halving
from search.objective import EpochReport
from search.slot import Owner, is_gone
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


@dataclass
class ToyObjective:
    epochs: int
    amid_epoch: object = lambda _: None
    started: list = field(default_factory=list)

    def width(self):
        return 10

    def start(self, slots):
        self.started.append([slot.number for slot in slots])
        return Toy([slot.number for slot in slots], self)


def working(storage, study, objective, trials, halving=NO_HALVING):
    return Worker(
        storage=storage, study_id=study, objective=objective, trials=trials, stack=10, workers=1, halving=halving,
        stop=lambda: False, claimed=lambda _: None, recorded=lambda: None,
    )  # fmt: skip


def test_epoch_may_take_longer_than_a_lease(opened):
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
def test_slot_lost_at_a_rung_is_let_go(opened, held):
    """A slot whose lease another has taken while it waits at a rung is dropped; the others go on to their end."""
    mine, trials = opened(), 70
    study = open_stage(mine, trials)
    stolen = []

    def amid_epoch(_):
        waiting = worker._survived if held == "survived" else worker._parked
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
