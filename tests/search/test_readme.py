"""The objectives in the README run as they are printed there."""

import json
import re
import signal
import sys
import tomllib
from pathlib import Path

import pytest
import tomlkit
from commands import coarsefine_process
from processes import end_of, signal_once, start_command, wait_until, workers_of
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
    command = [sys.executable, "-m", "coarsefine", "run", "digits_svm.toml", "--workers", "2"]
    return start_command(*command, cwd=folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Run the campaign with one worker; return the folder and the status."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "digits_svm.py").write_text(SVM, "utf-8")
    (folder / "digits_svm.toml").write_text(TOML, "utf-8")
    result = coarsefine_process("run", "digits_svm.toml", "--workers", 1, "--json", cwd=folder)
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
    for stage, trials in zip(shorter["stage"], (16, 8), strict=True):
        stage["trials"] = trials
    shorter["confirm"] = {"top": 2, "seeds": 2}
    (folder / "digits_svm.toml").write_text(tomlkit.dumps(shorter), "utf-8")
    process = start(folder)
    wait_until(lambda: ended(folder) > 2 and len(workers_of(process)) == 2)
    for worker in workers_of(process):
        worker.kill()
    assert signal_once(process, signal.SIGKILL, lambda: ended(folder) > 8)
    process.communicate()
    wait_until(lambda: counted(folder, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == 0)
    process = start(folder)
    code, stderr = end_of(process)
    assert code == 0, stderr
    assert (
        coarsefine_process(
            "run", "digits_svm.toml", "--workers", 1, "--storage", "undisturbed.db", cwd=folder
        ).returncode
        == 0
    )
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
    result = coarsefine_process("run", "mine.toml", "--workers", 1, "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (stage,) = json.loads(result.stdout)["stages"]
    assert (stage["completed"], stage["pruned"]) == (3, 9)
