"""Trials are read as Optuna reads them, in few statements."""

import math

import optuna
import sqlalchemy as sa
from optuna.trial import TrialState
from stages import ended, open_stage

from coarsefine.search.results.own_slots import as_slots
from coarsefine.search.storage.tables import SLOTS

TRIALS = 1200


def test_trials_are_those_that_optuna_reads(opened):
    """Every kind of trial is read as Optuna reads it: waiting, running, ended, enqueued, not finite."""
    storage = opened()
    study = open_stage(storage, 5)
    claims = storage.queue.claim(study, 3)
    storage.queue.record([ended(claims[0]), ended(claims[1], TrialState.FAIL)], claims)
    added = optuna.load_study(study_name="small/coarse", storage=storage)
    added.enqueue_trial({"eta": 0.1}, user_attrs={"by": "hand"})
    trial = optuna.trial.create_trial(value=math.inf, intermediate_values={1: math.nan, 2: -math.inf})
    added.add_trial(trial)
    expected = sorted(storage.get_all_trials(study), key=lambda trial: trial.number)
    assert str([*storage.trials_of(study)]) == str(expected)
    assert storage.trials_of(99) == ()


def test_trial_that_ends_while_it_is_read_is_running_or_ended(opened):
    """A trial that its worker ends between two statements of a reader is not taken for one that others have changed."""
    storage = opened()
    study = open_stage(storage, 3)
    claims = storage.queue.claim(study, 3)

    def end_all(*call):
        if call[2].startswith("SELECT trial_params") and claims:  # the statement after that about the states
            storage.queue.record([ended(claims.pop()) for _ in range(3)], [])

    sa.event.listen(storage.engine, "before_cursor_execute", end_all)
    found, _ = as_slots(storage.trials_of(study), {SLOTS: 3})
    assert claims == []
    assert [slot.state for slot in found] == [TrialState.RUNNING] * 3
    found, _ = as_slots(storage.trials_of(study), {SLOTS: 3})
    assert [slot.state for slot in found] == [TrialState.COMPLETE] * 3


def test_many_trials_take_few_statements(opened):
    """Twelve hundred trials are read by fewer than thirty statements."""
    storage, statements = opened(), []
    study = open_stage(storage, TRIALS)
    sa.event.listen(storage.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    assert len(storage.trials_of(study)) == TRIALS
    assert len(statements) < 30
