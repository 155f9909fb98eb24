"""Test `coarsefine init`: the campaign file that it writes for an objective, and the run of that file."""

import json
import shutil
import sys
import tomllib
from pathlib import Path
from unittest.mock import patch

import optuna
import pytest
from commands import coarsefine, coarsefine_process
from optuna.trial import TrialState

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
PRUNED = """
import optuna

def objective(trial):
    rate = trial.suggest_float("rate", 1e-3, 1e-1, log=True)
    for step in range(0, 50, 10):
        trial.report(1 - rate - 0.5 / (1 + step), step)
        trial.report(99.0, step)
        if trial.should_prune():
            raise optuna.TrialPruned()
    trial.set_user_attr("path", [trial.number, trial.params["rate"]])
    return 1 - rate
"""


@pytest.fixture
def folder(tmp_path):
    """Return a folder for modules and campaigns, which this process forgets afterwards."""
    with patch.object(sys, "path", [*sys.path]), patch.dict(sys.modules):
        yield tmp_path


def init(folder, objective, *options):
    """Write a campaign file into the folder; return the file's content and what was said."""
    answer = coarsefine("init", objective, *options, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    (folder / "mine.toml").write_text(answer.stdout, "utf-8")
    return tomllib.loads(answer.stdout), answer.stderr


def refused(folder, source, *options):
    """Return the sentence with which `init` refuses a module."""
    (folder / "bad_module.py").write_text(source, "utf-8")
    answer = coarsefine("init", "bad_module:objective", *options, cwd=folder)
    assert (answer.returncode, answer.stdout) == (2, "")
    return answer.stderr.splitlines()[-1]


def run(folder, *options):
    """Run the campaign file in the folder with one worker; return its status."""
    answer = coarsefine("run", "mine.toml", "--workers", 1, "--json", *options, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def trials_of(folder, study):
    return optuna.load_study(study_name=study, storage=f"sqlite:///{folder / 'studies.db'}").trials


@pytest.mark.filterwarnings("ignore:trial.report. step")
def test_objective_is_searched_unchanged(folder):
    """The file that `init` writes for an objective that reports, prunes and stores attributes runs as it is."""
    (folder / "pruned_module.py").write_text(PRUNED, "utf-8")
    file, said = init(folder, "pruned_module:objective", "--trials", 12)
    assert "It asked for 1 parameter, and made 5 reports." in said
    assert "look at `direction`" in said
    assert (file["name"], file["objective"], file["epochs"]) == ("pruned_module", "pruned_module:objective", 5)
    assert file["stage"][0]["space"] == {"rate": [1e-3, 1e-1]}
    assert [stage["trials"] for stage in file["stage"]] == [12, 6]
    status = run(folder)
    coarse, fine, confirm = status["stages"]
    assert coarse["completed"] + coarse["pruned"] == 12
    assert coarse["pruned"] == 9
    assert (fine["completed"] + fine["pruned"], confirm["completed"]) == (6, 20)
    for trial in trials_of(folder, "pruned_module/coarse"):
        if trial.state is TrialState.COMPLETE:
            assert trial.value == 1 - trial.params["rate"]
            assert trial.user_attrs["path"] == [trial.number, trial.params["rate"]]
        assert 99.0 not in trial.intermediate_values.values()


def test_number_of_reports_may_be_given(folder):
    """With `--epochs` the objective is stopped at its first report."""
    (folder / "never_ends.py").write_text(
        "def objective(trial):\n    x = trial.suggest_int('x', 1, 9)\n    step = 0\n    while True:\n"
        "        trial.report(x, step)\n        step += 1\n",
        "utf-8",
    )
    file, said = init(folder, "never_ends:objective", "--epochs", 30)
    assert file["epochs"] == 30
    assert "to its first report" in said


def test_names_of_parameters_may_have_dots_and_hyphens(folder):
    """`init` puts the names of an objective into quotes where TOML needs them, and the campaign runs."""
    (folder / "named.py").write_text(
        "def objective(trial):\n    rate = trial.suggest_float('optimizer.lr', 0.1, 1.0)\n"
        "    return rate * trial.suggest_int('batch-size', 1, 9)\n",
        "utf-8",
    )
    file, _ = init(folder, "named:objective", "--trials", 4)
    assert file["stage"][0]["space"].keys() == {"batch-size", "optimizer.lr"}
    assert run(folder)["stages"][0]["completed"] == 4
    assert {*trials_of(folder, "named/fine")[0].params} == {"batch-size", "optimizer.lr"}


@pytest.mark.parametrize(("example", "direction"), [("iris_sgd", "maximize"), ("iris_forest", "minimize")])
def test_objectives_as_the_tutorials_write_them(folder, example, direction):
    """Objectives written as in Optuna's tutorials run unchanged: pruning, attributes, choices, cross-validation."""
    shutil.copy(EXAMPLES / f"{example}.py", folder)
    assert init(folder, f"{example}:objective", "--trials", 8)[0]["direction"] == direction
    coarse, fine, confirm = run(folder)["stages"]
    assert [stage["completed"] + stage["pruned"] for stage in (coarse, fine, confirm)] == [8, 4, confirm["trials"]]
    attrs = [trial.user_attrs for trial in trials_of(folder, f"{example}/confirm")]
    assert all({"accuracy", "training accuracy"} & set(kept) for kept in attrs)


def test_torch_objective(folder):
    """An objective of PyTorch runs unchanged where PyTorch is installed."""
    pytest.importorskip("torch")
    shutil.copy(EXAMPLES / "digits_torch.py", folder)
    file, _ = init(folder, "digits_torch:objective", "--trials", 4)
    assert file["epochs"] == 10
    assert run(folder)["stages"][0]["trials"] == 4


def test_only_toml_is_on_stdout(folder):
    """What an objective prints, in Python, in C or by another program, goes to stderr."""
    (folder / "prints_much.py").write_text(
        "import ctypes, os, sys\nprint('imported')\n"
        "def objective(trial):\n    print('called')\n    os.system('echo by another program')\n"
        "    ctypes.CDLL(None).puts(b'in C')\n    os.write(1, b'written\\n')\n    sys.__stdout__.write('kept\\n')\n"
        "    return trial.suggest_float('x', 0, 1)\n",
        "utf-8",
    )
    answer = coarsefine_process("init", "prints_much:objective", cwd=folder)
    assert answer.returncode == 0
    assert tomllib.loads(answer.stdout)["stage"][0]["space"] == {"x": {"uniform": [0.0, 1.0]}}
    assert {"imported", "called", "by another program", "in C", "written", "kept"} <= set(answer.stderr.splitlines())


def test_conditional_space_is_named(folder):
    """A parameter of a branch that was not taken is named, in the file too; the run stops where trials meet it."""
    (folder / "conditional_module.py").write_text(
        "def objective(trial):\n    if trial.suggest_categorical('model', ['a', 'b']) == 'a':\n"
        "        return trial.suggest_float('x', 0, 1)\n    return trial.suggest_float('y', 0, 1)\n",
        "utf-8",
    )
    file, said = init(folder, "conditional_module:objective")
    note = "This call did not reach line 4 of conditional_module.py, which also asks for a parameter"
    assert note in said.replace("\n", " ")
    assert note in (folder / "mine.toml").read_text("utf-8")
    assert set(file["stage"][0]["space"]) == {"model", "x"}
    answer = coarsefine("run", "mine.toml", "--workers", 1, cwd=folder)
    assert answer.returncode == 3
    assert "conditional spaces are not there yet" in answer.stderr


def test_parameters_of_a_loop_are_named(folder):
    """A line that asks for several parameters is named, since their number may depend on another one."""
    (folder / "loop_module.py").write_text(
        "def objective(trial):\n    layers, _ = trial.suggest_int('layers', 1, 3), trial.suggest_float('lr', 0, 1)\n"
        "    return sum(trial.suggest_int(f'units_{i}', 1, 9) for i in range(layers))\n",
        "utf-8",
    )
    _, said = init(folder, "loop_module:objective")
    assert "Line 3 of loop_module.py asked for units_0 and units_1. If another parameter decides" in said
    assert "Line 2" not in said


def test_plain_function_gets_a_skeleton(folder):
    """A function of (point, seed, report) does not say its ranges: the file has a line to complete for each."""
    (folder / "plain_function.py").write_text(
        "def train(point, seed, report):\n    return point['lr'] * point['optimizer.decay']\n", "utf-8"
    )
    answer = coarsefine("init", "plain_function:train", "--epochs", 3, cwd=folder)
    assert answer.returncode == 0
    assert "its ranges are not known" in answer.stderr
    assert "# lr = [" in answer.stdout
    assert "{ integer = [1, 8] }" in answer.stdout
    assert '# metric = "accuracy"' in answer.stdout
    assert '# "optimizer.decay" = [' in answer.stdout
    (folder / "mine.toml").write_text(answer.stdout, "utf-8")
    refusal = coarsefine("run", "mine.toml", cwd=folder)
    assert (refusal.returncode, "a line that starts with # is a comment" in refusal.stderr) == (2, True)


def test_module_without_a_function_is_refused(folder):
    """A name without a colon is refused in a sentence that shows how to name a function."""
    (folder / "plain.py").write_text("def train(point, seed, report):\n    return 1.0\n", "utf-8")
    answer = coarsefine("init", "plain", cwd=folder)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == (
        "objective = 'plain' names no function: give its module and its name, such as plain:objective.\n"
    )


BAD_MODULES = {
    "a study that runs at import": (
        "import optuna\ndef objective(trial):\n    return trial.suggest_int('x', 1, 3)\n"
        "optuna.create_study().optimize(objective, n_trials=3)\n",
        "line 4 of its module runs a study of Optuna's whenever the module is imported",
    ),
    "a parameter's name": (
        "def objective(trial):\n    return trial.suggest_float('batch size', 0, 1)\n",
        "'batch size' is not a parameter's name: it must be 1 to 64 letters, digits, '_', '-' or '.'",
    ),
    "an objective that fails": (
        "def objective(trial):\n    return 1 / 0\n",
        "objective = 'bad_module:objective' failed when it was called: ZeroDivisionError: division by zero "
        "(bad_module.py, line 2).",
    ),
    "an objective that exits": (
        "import sys\ndef objective(trial):\n    sys.exit('no data')\n",
        "failed when it was called: SystemExit: no data (bad_module.py, line 3).",
    ),
    "access to the study": (
        "def objective(trial):\n    trial.study.stop()\n",
        "failed when it was called: AttributeError: trial.study: the objective has no access to the study",
    ),
}


@pytest.mark.parametrize(("source", "message"), BAD_MODULES.values(), ids=BAD_MODULES)
def test_module_that_cannot_be_searched(folder, source, message):
    """What stands in the way is one sentence, with the line of the module; nothing is written."""
    assert message in refused(folder, source)
