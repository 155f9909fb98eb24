"""Test what is recorded of one call of an Optuna objective."""

from pathlib import Path

import optuna
import pytest

from coarsefine import CampaignError
from coarsefine.search.campaign.dimension import Choice, Integer, LogUniform, Stepped, Uniform
from coarsefine.search.training.user_code.first_call import call_once
from coarsefine.search.training.user_code.module_source import unreached_lines

HERE = Path(__file__)
STEPS = 7


def recorded(objective, *, to_first_report=False):
    return call_once("test:objective", objective, HERE, to_first_report=to_first_report)


def every_kind(trial):
    trial.suggest_categorical("optimizer", ["MomentumSGD", "Adam"])
    trial.suggest_int("num_layers", 1, 3)
    trial.suggest_int("num_channels", 32, 512, log=True)
    trial.suggest_int("num_units", 10, 103, step=5)
    trial.suggest_float("dropout_rate", 0.0, 1.0)
    trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True)
    trial.suggest_float("drop_path_rate", 0.0, 1.0, step=0.1)
    trial.suggest_float("fixed", 0.5, 0.5)
    return 0.5


def reporting(trial):
    rate = trial.suggest_float("rate", 0.0, 1.0)
    for step in range(0, 10 * STEPS, 10):
        trial.report(rate, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    trial.suggest_int("late", 1, 4)
    return rate


def branching(trial):
    if trial.suggest_categorical("classifier", ["SVC", "RandomForest"]) == "SVC":
        return trial.suggest_float("svc_c", 1e-10, 1e10, log=True)
    return trial.suggest_int("rf_max_depth", 2, 32, log=True)


@pytest.mark.filterwarnings("ignore:The distribution is specified by")
def test_each_kind_of_call_becomes_a_range():
    """Names, ranges, steps, logarithms and choices are those of the calls, in their order."""
    found = recorded(every_kind)
    assert found.space == {
        "optimizer": Choice(("MomentumSGD", "Adam")),
        "num_layers": Integer(1, 3),
        "num_channels": Integer(32, 512, log=True),
        "num_units": Integer(10, 100, 5),
        "dropout_rate": Uniform(0.0, 1.0),
        "learning_rate": LogUniform(1e-5, 1e-2),
        "drop_path_rate": Stepped(0.0, 1.0, 0.1),
        "fixed": Choice((0.5,)),
    }
    assert found.comments["learning_rate"] == "log-uniform"
    assert found.reports == 0


def test_call_runs_to_its_end():
    """All reports are counted, whatever their steps."""
    found = recorded(reporting)
    assert (found.reports, found.stopped) == (STEPS, False)
    assert list(found.space) == ["rate", "late"]


def test_call_stops_at_its_first_report():
    """Parameters that are asked for later are not found then, and their lines are named."""
    found = recorded(reporting, to_first_report=True)
    assert (found.reports, found.stopped) == (1, True)
    assert list(found.space) == ["rate"]
    (line,) = unreached_lines(HERE.read_text("utf-8"), found.reached)
    assert "late" in HERE.read_text("utf-8").splitlines()[line - 1]


def test_call_without_reports_does_not_stop():
    """An objective that never reports runs to its end anyway."""
    assert not recorded(branching, to_first_report=True).stopped


def test_branch_that_was_not_taken():
    """The line of a parameter that another branch asks for is known."""
    (line,) = unreached_lines(HERE.read_text("utf-8"), recorded(branching).reached)
    assert "rf_max_depth" in HERE.read_text("utf-8").splitlines()[line - 1]


def prunes_itself(trial):
    trial.report(trial.suggest_float("x", 0.0, 1.0), 1)
    raise optuna.TrialPruned


def test_objective_that_prunes_itself():
    """What it asked for before is recorded."""
    found = recorded(prunes_itself)
    assert (list(found.space), found.reports, found.pruned) == (["x"], 1, True)


BAD = {
    "asks for nothing": (lambda _: 0.5, "asked for no parameter, so there is nothing to search"),
    "returns several values": (
        lambda trial: (trial.suggest_int("x", 1, 2), 0.5),
        "returned 2 values, and Coarsefine searches one: return one, and store the others with trial.set_user_attr",
    ),
    "returns nothing": (
        lambda trial: trial.set_user_attr("x", trial.suggest_int("x", 1, 2)),
        "returned None, no number",
    ),
    "has a range that no campaign can have": (
        lambda trial: trial.suggest_float("x", -1e308, 1e308),
        "trial.suggest_float('x', -1e+308, 1e+308) cannot be searched: high is more than 10^308 times low",
    ),
}


@pytest.mark.parametrize(("objective", "message"), BAD.values(), ids=BAD)
def test_objective_that_cannot_be_searched(objective, message):
    """An objective that does not fit a campaign is refused with what to do."""
    with pytest.raises(CampaignError) as error:
        recorded(objective)
    assert message in str(error.value)
