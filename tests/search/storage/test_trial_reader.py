"""Trials are read as Optuna reads them, in few statements."""

import math
from contextlib import suppress

import optuna
import sqlalchemy as sa
from optuna.trial import TrialState
from stages import ended, open_stage

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


def test_trial_is_read_at_one_moment(opened):
    """A trial that is deleted or retried between two statements of a reader keeps its value: none is half read."""
    storage, other = opened(), opened()
    study = open_stage(storage, 3)
    claims = storage.queue.claim(study, 3)
    storage.queue.record([ended(claim) for claim in claims], claims)
    texts = ["PRAGMA busy_timeout = 0"] * (storage.location.path is not None)
    texts += ["DELETE FROM trial_values", "UPDATE trials SET state = 'WAITING'"]
    tried = []

    def forget(*call):
        if call[2].startswith("SELECT trial_params") and not tried:
            tried.append(True)
            with suppress(sa.exc.OperationalError), other.engine.begin() as connection:  # SQLite lets nobody commit now
                for text in texts:
                    connection.exec_driver_sql(text)

    sa.event.listen(storage.engine, "before_cursor_execute", forget)
    found = storage.trials_of(study)
    assert tried
    assert all(trial.state is TrialState.COMPLETE and trial.value is not None for trial in found)


def test_many_trials_take_few_statements(opened):
    """Twelve hundred trials are read by fewer than thirty statements."""
    storage, statements = opened(), []
    study = open_stage(storage, TRIALS)
    sa.event.listen(storage.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    assert len(storage.trials_of(study)) == TRIALS
    assert len(statements) < 30
