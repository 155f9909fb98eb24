"""What the README says of a user's own function, run as it stands there."""

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
    """A folder with the README's function and campaign."""
    (tmp_path / "digits_svm.py").write_text(SVM, "utf-8")
    (tmp_path / "digits_svm.toml").write_text(TOML, "utf-8")
    return tmp_path


def start(folder):
    command = [sys.executable, "-m", "coarsefine", "run", "digits_svm.toml", "--workers", "2"]
    return start_command(*command, cwd=folder)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The folder, searched by one worker that nobody disturbs."""
    folder = tmp_path_factory.mktemp("calm")
    (folder / "digits_svm.py").write_text(SVM, "utf-8")
    (folder / "digits_svm.toml").write_text(TOML, "utf-8")
    answer = coarsefine_process("run", "digits_svm.toml", "--workers", 1, "--json", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    return folder, json.loads(answer.stdout)


def test_example_with_scikit_learn_finds_a_good_classifier(calm):
    """The README's support vector machine is searched through its stages, and the winner confirmed on fresh seeds."""
    _, status = calm
    assert status["state"] == "done"
    assert [(stage["name"], stage["completed"]) for stage in status["stages"]] == PLANNED
    assert status["winner"]["confirmed"]["mean"] > 0.97


def test_example_killed_and_resumed_trains_exactly_n(folder):
    """Two workers killed with `kill -9`, then the whole run, and resumed: each trial once, as of one calm worker."""
    fewer = tomllib.loads(TOML)
    for stage, trials in zip(fewer["stage"], (16, 8), strict=True):
        stage["trials"] = trials
    fewer["confirm"] = {"top": 2, "seeds": 2}
    (folder / "digits_svm.toml").write_text(tomlkit.dumps(fewer), "utf-8")
    process = start(folder)
    wait_until(lambda: ended(folder) > 2 and len(workers_of(process)) == 2)
    for worker in workers_of(process):
        worker.kill()
    assert signal_once(process, signal.SIGKILL, lambda: ended(folder) > 8)
    process.communicate()
    wait_until(lambda: counted(folder, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == 0)
    process = start(folder)
    code, told = end_of(process)
    assert code == 0, told
    assert (
        coarsefine_process("run", "digits_svm.toml", "--workers", 1, "--storage", "calm.db", cwd=folder).returncode == 0
    )
    assert table(folder / "studies.db") == table(folder / "calm.db")


@pytest.mark.parametrize(
    ("text", "space"),
    [(EPOCHS, "{ alpha = [1e-6, 1] }"), (BATCH, "{ rate = { uniform = [0.1, 2.0] } }")],
    ids=["epochs", "batch"],
)
def test_functions_that_report_epochs_and_batches(tmp_path, text, space):
    """The README's other functions run as they stand there, and a stage may halve by what they report."""
    (tmp_path / "mine.py").write_text(text, "utf-8")
    (tmp_path / "mine.toml").write_text(
        f'name = "mine"\nobjective = "mine:train"\nepochs = 10\n'
        f'[[stage]]\nname = "only"\ntrials = 12\npruner = "halving"\nspace = {space}\n',
        "utf-8",
    )
    answer = coarsefine_process("run", "mine.toml", "--workers", 1, "--json", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    (stage,) = json.loads(answer.stdout)["stages"]
    assert (stage["completed"], stage["pruned"]) == (3, 9)
