"""The objectives in the README run as they are printed there."""

import json
import re
import signal
import sys
import tomllib
from pathlib import Path
from unittest.mock import patch

import pytest
import tomlkit
from commands import coarsefine
from processes import Forked, end_of, run_command, signal_once, wait_until, workers_of
from stored import counted, ended, table

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SECTION = README.partition("## Your own function\n")[2].partition("\n## ")[0]
SVM, EPOCHS, BATCH = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
(TOML,) = re.findall(r"```toml\n(.*?)```", SECTION, re.DOTALL)
PLANNED = [("coarse", 40), ("fine", 20), ("confirm", 20)]


@pytest.fixture
def folder(tmp_path):
    """Write the README's objective and campaign into a folder."""
    (tmp_path / "digits_svm.py").write_text(SVM, "utf-8")
    (tmp_path / "digits_svm.toml").write_text(TOML, "utf-8")
    return tmp_path


def start(folder):
    """Start a run of the campaign with two workers."""
    return Forked(run_command, "run", "digits_svm.toml", "--workers", "2", cwd=folder)


def run_here(folder, name, *options):
    """Run a campaign with one worker in this process, then forget the module that it imported from its folder."""
    with patch.object(sys, "path", [*sys.path]):
        result = coarsefine("run", f"{name}.toml", "--workers", 1, *options, cwd=folder)
    del sys.modules[name]
    return result


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Run the campaign with one worker; return the folder and the status."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "digits_svm.py").write_text(SVM, "utf-8")
    (folder / "digits_svm.toml").write_text(TOML, "utf-8")
    result = run_here(folder, "digits_svm", "--json")
    assert result.returncode == 0, result.stderr
    return folder, json.loads(result.stdout)


def test_scikit_learn_example_finds_a_good_classifier(undisturbed):
    """The README's support vector machine runs through all stages, and its winner is confirmed on new seeds."""
    _, status = undisturbed
    assert status["state"] == "done"
    assert [(stage["name"], stage["completed"]) for stage in status["stages"]] == PLANNED
    assert status["winner"]["confirmed"]["mean"] > 0.97


def test_killed_example_trains_each_trial_once(folder):
    """A run whose workers and then itself are killed resumes, and trains the same trials as one worker."""
    shorter = tomllib.loads(TOML)
    for stage, trials in zip(shorter["stage"], (12, 6), strict=True):
        stage["trials"] = trials
    shorter["confirm"] = {"top": 2, "seeds": 2}
    (folder / "digits_svm.toml").write_text(tomlkit.dumps(shorter), "utf-8")
    process = start(folder)
    wait_until(lambda: ended(folder) > 2 and len(workers_of(process)) == 2)
    for worker in workers_of(process):
        worker.kill()
    assert signal_once(process, signal.SIGKILL, lambda: ended(folder) > 6)
    process.communicate()
    wait_until(lambda: counted(folder, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == 0)
    process = start(folder)
    code, stderr = end_of(process)
    assert code == 0, stderr
    undisturbed = run_here(folder, "digits_svm", "--storage", "undisturbed.db")
    assert undisturbed.returncode == 0, undisturbed.stderr
    assert table(folder / "studies.db") == table(folder / "undisturbed.db")


@pytest.mark.parametrize(
    ("text", "space"),
    [(EPOCHS, "{ alpha = [1e-6, 1] }"), (BATCH, "{ rate = { uniform = [0.1, 2.0] } }")],
    ids=["epochs", "batch"],
)
def test_examples_that_report_epochs_run(tmp_path, text, space):
    """The README's other objectives run as printed, and halving uses the values that they report."""
    (tmp_path / "mine.py").write_text(text, "utf-8")
    (tmp_path / "mine.toml").write_text(
        f'name = "mine"\nobjective = "mine:train"\nepochs = 10\n'
        f'[[stage]]\nname = "only"\ntrials = 12\npruner = "halving"\nspace = {space}\n',
        "utf-8",
    )
    result = run_here(tmp_path, "mine", "--json")
    assert result.returncode == 0, result.stderr
    (stage,) = json.loads(result.stdout)["stages"]
    assert (stage["completed"], stage["pruned"]) == (3, 9)
