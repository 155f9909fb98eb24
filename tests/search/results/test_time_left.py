from datetime import datetime, timedelta

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.results.progress import stage_seconds_left
from coarsefine.search.results.study import Study

NOW = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - local and without a zone, as Optuna's
STAGE = {"name": "coarse", "trials": 10, "epochs": 10, "eta": [0.1, 1], "lambda": [0.1, 1]}
SMALL = Campaign.model_validate({"name": "small", "data": {"dataset": "digits"}, "stage": [STAGE]})
RANGES = {"eta": FloatDistribution(0.1, 1, log=True), "lambda": FloatDistribution(0.1, 1, log=True)}


def trial(number, state, started=None, took=None, epochs=0):
    """Return a trial that started `started` seconds ago and took `took` seconds."""
    start = None if started is None else NOW - timedelta(seconds=started)
    return FrozenTrial(
        number=number, state=state, value=None, values=[0.5] if state is TrialState.COMPLETE else None,
        datetime_start=start, datetime_complete=start + timedelta(seconds=took) if took is not None else None,
        params={"eta": 0.5, "lambda": 0.5}, distributions=RANGES, user_attrs={"seed": number}, system_attrs={},
        intermediate_values=dict.fromkeys(range(1, epochs + 1), 0.5), trial_id=number,
    )  # fmt: skip


def seconds_left(trials, live):
    return stage_seconds_left(Study(1, "small/coarse", {}, tuple(trials)), SMALL, SMALL.stage[0], live, NOW)


def waiting(numbers):
    return [trial(number, TrialState.WAITING) for number in numbers]


def test_finished_stage_has_no_time_left():
    """Without an unfinished trial the time left is 0, even without workers."""
    assert seconds_left([trial(0, TrialState.COMPLETE, 50, 20), trial(1, TrialState.FAIL, 50, 1)], 0) == 0.0


def test_time_left_is_unknown_without_workers_or_epochs():
    """Without a worker or a recorded epoch the time left is None."""
    assert seconds_left([trial(0, TrialState.COMPLETE, 50, 20, epochs=10), *waiting([1, 2])], 0) is None
    assert seconds_left([trial(0, TrialState.RUNNING, 5), *waiting([1, 2])], 1) is None
    assert seconds_left(waiting([0, 1]), 0) is None


def test_time_left_is_not_zero_while_trials_train():
    """If trials have trained more epochs than were planned, as those that failed, the time left is unknown, not 0."""
    trained = [trial(n, TrialState.FAIL, 100, 20, epochs=10) for n in range(3)]
    running = [trial(n, TrialState.RUNNING, 10, epochs=10) for n in (3, 4)]
    assert seconds_left([*trained, *running], 2) is None


def test_time_left_follows_from_ended_trials():
    """Four waiting and two half-done trials of 20 s, two at a time, take 4 × 20 / 2 + 2 × 10 / 2 seconds."""
    ended = [trial(n, TrialState.COMPLETE, 100, 20, epochs=10) for n in range(3)]
    running = [trial(n, TrialState.RUNNING, 10, epochs=5) for n in (3, 4)]
    assert seconds_left([*ended, *running, *waiting(range(5, 9))], 2) == pytest.approx(50)


def test_time_left_follows_from_epochs_before_a_trial_ends():
    """Four of ten epochs in 8 s make 20 s a trial: 12 s more for the two running, 20 s for the two waiting."""
    running = [trial(n, TrialState.RUNNING, 8, epochs=4) for n in (0, 1)]
    assert seconds_left([*running, *waiting([2, 3])], 2) == pytest.approx(12 + 20)


def test_only_the_last_ended_trials_count():
    """Only recent trials count, since workers may have joined in the meantime."""
    old = [trial(n, TrialState.COMPLETE, 10_000, 1000, epochs=10) for n in range(10)]
    new = [trial(n, TrialState.COMPLETE, 500, 2, epochs=10) for n in range(10, 60)]
    assert seconds_left([*old, *new, *waiting([60])], 1) == pytest.approx(2)


def test_resumed_trial_does_not_count_once_a_trial_has_finished():
    """A trial resumed a second ago at epoch 9 does not make the ten waiting epochs seem to take a second each."""
    ended, resumed = trial(0, TrialState.COMPLETE, 300, 200, epochs=10), trial(1, TrialState.RUNNING, 1, epochs=9)
    assert seconds_left([ended, resumed, *waiting([2])], 1) == pytest.approx(11 * 20)


def test_pruned_trials_leave_fewer_epochs():
    """Of four trials halved after epoch 1, two continue: 22 epochs, of which 4 are trained, at 2 a second."""
    halving = Campaign.model_validate(
        {"name": "small", "data": {"dataset": "digits"}, "stage": [{**STAGE, "pruner": "halving", "rungs": [1]}]}
    )
    trials = [trial(n, TrialState.RUNNING, 2, epochs=1) for n in range(4)]
    study = Study(1, "small/coarse", {}, tuple(trials))
    assert stage_seconds_left(study, halving, halving.stage[0], 4, NOW) == pytest.approx((4 + 2 * 9 - 4) / 2)
