"""Test what is read from the source of a user's module."""

import os
import py_compile
import sys
import time

import pytest

from coarsefine import CampaignError
from coarsefine.search.training.user_code.function import load_function
from coarsefine.search.training.user_code.module_source import (
    Reached,
    asked_keys,
    direction_of,
    only_calls,
    parameters_of,
    refuse_study_in_body,
    unreached_lines,
)

OBJECTIVE = "def objective(trial):\n    return trial.suggest_float('x', 0, 1)\n\n\n"


@pytest.mark.parametrize(
    "body",
    [
        "study.optimize(objective, n_trials=20)",
        "with pool:\n    study.optimize(func=objective)",
        "study.optimize(lambda trial: objective(trial), n_trials=20)",
        "optuna.create_study().optimize(objective)",
    ],
)
def test_study_in_the_body_is_refused(body):
    """A module that would run a study whenever a worker imports it is refused, with what to do."""
    message = r"objective = 'train:objective': line \d of its module runs a study.*below `if __name__ == \"__main__\":`"
    with pytest.raises(CampaignError, match=message):
        refuse_study_in_body("train:objective", OBJECTIVE + body)


@pytest.mark.parametrize(
    "body",
    [
        "if __name__ == '__main__':\n    study.optimize(objective)",
        "def main():\n    study.optimize(objective)",
        "study.optimize(another)",
        "scipy.optimize(x)",
        "not Python",
    ],
)
def test_module_that_only_defines_an_objective(body):
    """Studies that only a script runs, and those of other functions, are no reason to refuse a module."""
    refuse_study_in_body("train:objective", OBJECTIVE + body)


@pytest.mark.parametrize(
    ("body", "direction"),
    [
        ("optuna.create_study()", "minimize"),
        ("create_study(storage='sqlite:///a.db', direction='minimize')", "minimize"),
        ("if __name__ == '__main__':\n    study = optuna.create_study(direction='maximize')", "maximize"),
        ("optuna.create_study(direction=optuna.study.StudyDirection.MAXIMIZE)", "maximize"),
        ("optuna.create_study(direction=args.direction)", None),
        ("optuna.create_study(direction='maximize')\noptuna.create_study()", None),
        ("", None),
    ],
)
def test_direction_of_the_studies(body, direction):
    """The direction is that of the module's studies, if it says one; Optuna's default is to minimize."""
    assert direction_of("train:objective", OBJECTIVE + body) == direction


def test_several_objectives_are_refused():
    """A study with two directions is refused with what to do."""
    with pytest.raises(CampaignError, match="line 5 of its module makes a study with 2 directions"):
        direction_of("train:objective", OBJECTIVE + "optuna.create_study(directions=['minimize', 'maximize'])")


BRANCHES = """
def model(trial):
    return trial.suggest_int("layers", 1, 3)

def other(trial):
    return trial.suggest_int("other", 1, 3)

@decorated
def objective(trial):
    layers = model(trial)
    if layers == 1:
        trial.suggest_float(
            "a",
            0,
            1,
        )
    else:
        trial.suggest_float("b", 0, 1)
"""


def reached(*lines):
    return Reached({(line, 0): ["a parameter"] for line in lines}, {2, 8})


def test_unreached_calls():
    """The lines are those of calls that were not made, in functions that asked for something."""
    assert unreached_lines(BRANCHES, reached(3, 12)) == [18]
    assert unreached_lines(BRANCHES, reached(3, 18)) == [12]
    assert unreached_lines(BRANCHES, reached(3, 12, 18)) == []


@pytest.mark.parametrize(
    ("body", "keys", "calls"),
    [
        ('report(point["lr"] * point.get("decay", 0))', {"lr", "decay"}, True),
        ("report(model(**point))", None, True),
        ('fit(point["lr"], report)', {"lr"}, False),
        ("report(sum(point[k] for k in point), epochs=report.epochs)", None, False),
        ('return point["lr"]', {"lr"}, False),
    ],
)
def test_what_a_function_does_with_its_arguments(body, keys, calls):
    """What a function asks its point for, and whether it only calls `report`, are known if it does nothing else."""
    source = f"def train(point, seed, report):\n    {body}"
    assert asked_keys(source, "train") == keys
    assert only_calls(source, "train", 2) == calls
    assert asked_keys(f"{source}\n" * 2, "train") is None


def test_parameters_of_a_function():
    """The parameters of a plain function are the keys that it asks its first argument for."""
    body = 'rate = point["lr"] * point.get("decay", 0)\n    return other["x"] * point["lr"]'
    source = f"def train(point, seed, report):\n    {body}"
    assert parameters_of(source, "train") == ["lr", "decay"]
    assert parameters_of(source, "test") == []


def test_bytecode_of_an_earlier_text_is_not_used(tmp_path, monkeypatch):
    """A module that changed in the second in which it was compiled, to a text of equal length, is what it says now."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    file, moment = tmp_path / "same_length.py", int(time.time()) + 60
    for value in (1, 2):
        file.write_text(f"def train(point, seed, report):\n    return {value}\n", "utf-8")
        os.utime(file, (moment, moment))
        if value == 1:
            py_compile.compile(str(file))
    function, train = load_function("same_length:train")
    assert train({}, 0, None) == 2
    assert "return 2" in function.text
