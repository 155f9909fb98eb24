"""Test the trial that an Optuna objective receives, without a worker: it suggests a point and passes reports on."""

import re
from collections import OrderedDict
from contextlib import nullcontext
from datetime import datetime

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from coarsefine import CampaignError, TrialEnded
from coarsefine.search.campaign.dimension import Choice, Integer, LogUniform, Uniform
from coarsefine.search.campaign.toml_form import range_line
from coarsefine.search.training.user_code.optuna_trial import UserTrial, call_objective

POINT = {"lr": 0.01, "layers": 3, "optimizer": "Adam"}


class Worker:
    """Receives reports; says after some of them that the trial ends."""

    def __init__(self, most=100):
        self.values, self.epochs, self._most = [], [], most

    def report(self, value, epoch):
        self.values.append(value)
        self.epochs.append(epoch)
        return len(self.values) < self._most


def trial_of(point, worker=None, folder=None, seed=5):
    return UserTrial(7, point, folder, 2, seed, 0, (worker or Worker()).report)


@pytest.fixture
def trial(tmp_path):
    return trial_of(POINT, folder=tmp_path)


def test_trial_suggests_the_point(trial):
    """A trial suggests the values of its slot, each of the type that the call asks for."""
    assert trial.suggest_float("lr", 1e-5, 1e-1, log=True) == 0.01
    layers = trial.suggest_int("layers", 1, 3)
    assert (layers, type(layers)) == (3, int)
    assert trial.suggest_categorical("optimizer", ["Adam", "SGD"]) == "Adam"
    assert trial.params == POINT
    assert trial.distributions == {
        "lr": FloatDistribution(1e-5, 1e-1, log=True),
        "layers": IntDistribution(1, 3),
        "optimizer": CategoricalDistribution(["Adam", "SGD"]),
    }


def test_trial_is_one_of_optuna(trial, tmp_path):
    """Code that asks for Optuna's base class of trials, or for a trial's facts, finds them."""
    assert isinstance(trial, optuna.trial.BaseTrial)
    assert (trial.number, trial.attempt, trial.seed, trial.folder, trial.point) == (7, 2, 5, tmp_path, POINT)
    assert isinstance(trial.datetime_start, datetime)
    assert (trial.system_attrs, trial.relative_params, trial.constraints) == ({}, {}, {})


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_older_names_of_suggest_calls():
    """Objectives that were written for Optuna 2 run, too."""
    trial = trial_of({"a": 0.5, "b": 1e-3, "c": 0.75})
    assert trial.suggest_uniform("a", 0, 1) == 0.5
    assert trial.suggest_loguniform("b", 1e-5, 1e-1) == 1e-3
    assert trial.suggest_discrete_uniform("c", 0.0, 1.0, 0.25) == 0.75


@pytest.mark.parametrize(
    ("choices", "written", "option"),
    [
        ([None, "sqrt"], "None", None),
        ([(50,), (50, 50)], "(50, 50)", (50, 50)),
        ([True, False], False, False),
        ([16, 0.5, "all"], 0.5, 0.5),
        ([float("inf"), 1.0], "inf", float("inf")),
        ([OrderedDict, dict], "OrderedDict", OrderedDict),
        ([np.float64(0.1), np.float64(0.2)], 0.2, np.float64(0.2)),
    ],
)
@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
def test_choice_returns_the_objective_s_own_object(choices, written, option):
    """The campaign file holds a number, a text or a boolean for an option; the objective receives its own object."""
    found = trial_of({"x": written}).suggest_categorical("x", choices)
    assert (found, type(found)) == (option, type(option))


def test_parameter_may_be_asked_for_again(trial):
    """As in Optuna, the first of several calls for a parameter counts, and another range gets a warning."""
    trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    assert trial.suggest_float("lr", 1e-5, 1e-1, log=True) == 0.01
    with pytest.warns(RuntimeWarning, match="asked before by trial.suggest_float"):
        assert trial.suggest_float("lr", 1e-3, 1e-2, log=True) == 0.01
    with pytest.raises(ValueError, match="different distribution kind"):
        trial.suggest_int("lr", 1, 2)


MISFITS = {
    "an unknown parameter": (
        lambda trial: trial.suggest_float("momentum", 0.0, 1.0),
        "trial.suggest_float('momentum', 0.0, 1.0): the campaign has no parameter 'momentum', only lr, layers, "
        "optimizer: add `momentum = { uniform = [0.0, 1.0] }` to the space of its first stage. If it is asked for in "
        "some trials only: conditional spaces are not there yet",
    ),
    "a value below the range": (
        lambda trial: trial.suggest_float("lr", 0.1, 1.0, log=True),
        "trial.suggest_float('lr', 0.1, 1.0, log=True) does not allow 0.01, which the campaign drew: write "
        "`lr = [0.1, 1.0]` in the space of the stage",
    ),
    "a value between steps": (
        lambda trial: trial.suggest_int("layers", 0, 8, step=2),
        "trial.suggest_int('layers', 0, 8, step=2) does not allow 3, which the campaign drew: write "
        "`layers = { integer = [0, 8], step = 2 }` in the space of the stage",
    ),
    "no whole number": (
        lambda trial: trial.suggest_int("lr", 1, 512, log=True),
        "trial.suggest_int('lr', 1, 512, log=True) does not allow 0.01, which the campaign drew: write "
        "`lr = { integer = [1, 512], log = true }` in the space of the stage",
    ),
    "text instead of a number": (
        lambda trial: trial.suggest_float("optimizer", 0.0, 1.0, step=0.5),
        "trial.suggest_float('optimizer', 0.0, 1.0, step=0.5) does not allow 'Adam', which the campaign drew: write "
        "`optimizer = { uniform = [0.0, 1.0], step = 0.5 }` in the space of the stage",
    ),
    "another option": (
        lambda trial: trial.suggest_categorical("optimizer", ["SGD", "RMSprop"]),
        "trial.suggest_categorical('optimizer', ['SGD', 'RMSprop']) does not allow 'Adam', which the campaign drew: "
        'write `optimizer = { choice = ["SGD", "RMSprop"] }` in the space of the stage',
    ),
    "a range of one value": (
        lambda trial: trial.suggest_float("lr", 0.5, 0.5),
        "does not allow 0.01, which the campaign drew: write `lr = { choice = [0.5] }` in the space",
    ),
    "options that are equal": (
        lambda trial: trial.suggest_categorical("optimizer", [1, True]),
        "trial.suggest_categorical('optimizer', [1, True]) cannot be searched: True is in the choice twice: remove one",
    ),
    "a constraint": (lambda trial: trial.set_constraint("size", 1.0), "there are no constraints in Coarsefine"),
}


@pytest.mark.parametrize(("ask", "message"), MISFITS.values(), ids=MISFITS)
def test_misfit_is_a_sentence_with_the_line_that_fits(trial, ask, message):
    """A call that does not fit the campaign names what the campaign has, and the TOML that would fit."""
    with pytest.raises(CampaignError, match=re.escape(message)):
        ask(trial)


RANGES = {
    "the same range": (LogUniform(1e-5, 0.1), True),
    "a part": (LogUniform(1e-3, 0.1), True),
    "a part, drawn otherwise": (Uniform(1e-3, 0.1), True),
    "some values": (Choice((1e-3, 0.01)), True),
    "a wider range": (LogUniform(1e-5, 1.0), False),
    "a value outside": (Choice((0.01, 1.0)), False),
    "text": (Choice(("low", "high")), False),
}


@pytest.mark.parametrize(("range_", "fits"), RANGES.values(), ids=RANGES)
def test_range_beyond_the_call_is_refused(trial, range_, fits):
    """The campaign may search a part of what a call allows; more is refused in the first trial, whatever its value."""
    trial.ranges = {"lr": range_}
    message = re.escape(
        f"does not allow all of `{range_line('lr', range_)}`, which the campaign searches: write `lr = [1e"
    )
    with nullcontext() if fits else pytest.raises(CampaignError, match=message):
        trial.suggest_float("lr", 1e-5, 0.1, log=True)


@pytest.mark.parametrize(
    ("range_", "fits"),
    [(Integer(2, 8, 2), True), (Integer(0, 8, 4), True), (Integer(1, 9, 2), False), (Integer(0, 8), False)],
)
def test_steps_of_a_range(range_, fits):
    """The steps of a range are multiples of those of the call, from one of its values."""
    trial = trial_of({"n": range_.low})
    trial.ranges = {"n": range_}
    with nullcontext() if fits else pytest.raises(CampaignError, match="does not allow all of"):
        trial.suggest_int("n", 0, 8, step=2)


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
def test_option_without_a_lasting_name(trial):
    """An object whose text has its address cannot be an option: it is another text in each process."""
    with pytest.raises(CampaignError, match="has no lasting name: let it choose among texts"):
        trial.suggest_categorical("optimizer", [object(), object()])


def test_study_is_out_of_reach(trial):
    """An objective that asks for its study is told why there is none."""
    with pytest.raises(AttributeError, match="has no access to the study in Coarsefine"):
        _ = trial.study
    assert not hasattr(trial, "study")


def test_each_new_step_is_an_epoch():
    """Steps may start at 0 and be any numbers; a repeated one is ignored, with Optuna's warning."""
    worker = Worker()
    trial = trial_of(POINT, worker)
    for step in (0, 10, 20):
        trial.report(step / 10, step)
    with pytest.warns(UserWarning, match="step 10 was reported before"):
        trial.report(9.0, 10)
    assert worker.values == [0.0, 1.0, 2.0]
    assert not trial.should_prune()


@pytest.mark.parametrize("value", [np.float32(0.5), np.array(0.5), 1, True])
def test_values_that_are_numbers(value):
    """Whatever Python can convert to a number can be reported, as in Optuna."""
    worker = Worker()
    trial_of(POINT, worker).report(value, step=np.int64(3))
    assert worker.values == [float(value)]


NO_REPORTS = [(("high", 0), TypeError), ((None, 0), TypeError), ((0.5, "first"), TypeError), ((0.5, -1), ValueError)]


@pytest.mark.parametrize(("report", "error"), NO_REPORTS)
def test_reports_that_are_none(report, error):
    """What is no number is refused with Optuna's types of errors, and does not reach the worker."""
    worker = Worker()
    with pytest.raises(error, match=r"trial\.report"):
        trial_of(POINT, worker).report(*report)
    assert worker.values == []


@pytest.mark.parametrize(("done", "step"), [(1, 1), (1, 2), (4, 4), (4, 5)])
def test_resumed_call_says_which_epoch_it_reports(done, step):
    """A call that goes on gives the number of its first epoch, whether its steps start at 0 or at 1."""
    worker = Worker()
    trial = UserTrial(7, POINT, None, 2, 5, done, worker.report)
    with pytest.raises(CampaignError, match=rf"goes on after {done} epochs?, and its first step is {step}: steps may"):
        trial.report(0.5, step)
    assert worker.epochs == []
    trial.report(0.5, step, epoch=done + 1)
    trial.report(0.6, step + 1)
    assert worker.epochs == [done + 1, None]


def test_call_that_begins_again_at_step_0_gives_no_epoch():
    """Step 0 is epoch 1, so an objective that trains from the start in each call needs no number."""
    worker = Worker()
    trial = UserTrial(7, POINT, None, 2, 5, 4, worker.report)
    for step in range(3):
        trial.report(0.5, step)
    assert worker.epochs == [None, None, None]


def test_trial_ends_at_a_rung():
    """Once a rung is decided against it, `should_prune` is true, and a further report ends the call."""
    worker = Worker(most=2)
    trial = trial_of(POINT, worker)
    trial.report(0.1, 0)
    assert not trial.should_prune()
    trial.report(0.2, 1)
    assert trial.should_prune()
    with pytest.raises(TrialEnded):
        trial.report(0.3, 2)
    assert worker.values == [0.1, 0.2]


def test_user_attributes(trial):
    """An objective stores values with its trial, and reads them back; what is not JSON is refused at once."""
    trial.set_user_attr("accuracy", 0.5)
    trial.set_user_attr("layers", [50, 50])
    assert trial.user_attrs == {"accuracy": 0.5, "layers": [50, 50]}
    with pytest.raises(TypeError, match="not JSON serializable"):
        trial.set_user_attr("model", object())
    assert "model" not in trial.user_attrs


def test_parameter_that_is_not_asked_for():
    """A trial that leaves out a parameter of the campaign is refused: the table would say that it had an effect."""

    def objective(trial):
        if trial.suggest_categorical("optimizer", ["Adam", "SGD"]) == "SGD":
            trial.suggest_float("momentum", 0.0, 1.0)
        return 0.5

    message = "it did not ask for momentum, which the campaign searches: conditional spaces are not there yet"
    with pytest.raises(CampaignError, match=message):
        call_objective(objective, trial_of({"optimizer": "Adam", "momentum": 0.5}))
    assert call_objective(objective, trial_of({"optimizer": "SGD", "momentum": 0.5})) == 0.5


def test_objective_may_prune_before_it_has_asked_for_all():
    """A trial that an objective ends because of some parameters need not ask for the others."""

    def objective(trial):
        trial.suggest_int("layers", 1, 3)
        raise optuna.TrialPruned

    with pytest.raises(optuna.TrialPruned):
        call_objective(objective, trial_of(POINT))
