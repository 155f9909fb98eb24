"""The examples of the documentation run as they are printed there."""

import json
import re
import shutil
import signal
import sys
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
import tomlkit
from commands import coarsefine
from forked import PATIENCE, Forked, run_command, run_script
from processes import end_of, wait_until, workers_of
from stored import ended, table

from coarsefine import Campaign
from documentation.repeated import files_in

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"
FILES = [*EXAMPLES.glob("*.*"), *(EXAMPLES / "python").glob("*.py")]
"""The examples, without those of the pages about extending, which are packages."""
CAMPAIGNS = sorted(EXAMPLES.glob("*.toml"))
PRINTED = {
    "in_python.py": r"Winner\(stage='\w+', .*\)\n",
    "observe.py": r"(.*\n)*(coarse \d+ COMPLETE 0\.\d+\n){12}(.*\n)*(fine \d+ COMPLETE 0\.\d+\n){8}(.*\n)*",
    "stop.py": r"(Stopped .*\n)?done\n",
    "join.py": r"",
    "retry.py": r"fixed/coarse: 3 failures in a row .*\n.*\ncoarse trains again \(0, 1, 2\)\n-\d.*\n",
    "arrays.py": r"0\.\d+\n",
    "version.py": r"\d+\.\d+.*\n",
}
"""What the scripts of the Python API print that no console block of a page runs."""


@pytest.fixture
def folder(tmp_path):
    """Copy the examples into a folder."""
    for path in FILES:
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def finished(folder):
    """Run the small campaign in the folder, and export its winner."""
    for command in (("run", "small.toml", "--workers", 1), ("export", "small")):
        answer = coarsefine(*command, cwd=folder)
        assert answer.returncode == 0, answer.stderr
    return folder


def output_of(folder, script, *arguments):
    """Run a script in a folder; return what it prints."""
    process = Forked(run_script, folder / script, *arguments, cwd=folder)
    printed, stderr = process.communicate(PATIENCE)
    assert process.returncode == 0, stderr
    return printed


def run_here(folder, campaign, *options):
    """Run a campaign with one worker in this process, then forget the module that it imported from its folder."""
    with patch.object(sys, "path", [*sys.path]), patch.dict(sys.modules):
        result = coarsefine("run", campaign, "--workers", 1, *options, cwd=folder)
    assert result.returncode == 0, result.stderr
    return result


def status_after(folder, campaign):
    """Run a campaign; return its status."""
    return json.loads(run_here(folder, campaign, "--json").stdout)


@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda path: path.stem)
def test_campaign_file_is_valid(path):
    """Each campaign file can be read."""
    assert Campaign.load(path).stages


def test_commented_keys_are_valid(tmp_path):
    """The campaign file that shows every key is valid with the keys that it comments out, too."""
    text = (EXAMPLES / "mine.toml").read_text("utf-8")
    (tmp_path / "mine.toml").write_text(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE), "utf-8")
    assert Campaign.load(tmp_path / "mine.toml").network.model.fixed["eta"] == 0.03


def test_every_example_is_on_a_page():
    """Each example is shown by a page, and each script is run by a test."""
    assert set(FILES) <= {path.resolve() for page in DOCS.rglob("*.md") for path in files_in(page)}
    texts = [page.read_text("utf-8") for page in DOCS.rglob("*.md")]
    in_blocks = {name for text in texts for name in re.findall(r"^\$ python (\S+)", text, re.MULTILINE)}
    scripts = {path.name for path in FILES if path.parent.name == "python"}
    assert scripts <= in_blocks | {*PRINTED, "final_training.py"}


@pytest.mark.parametrize(("script", "printed"), PRINTED.items())
def test_script_runs(folder, script, printed):
    """A script of the Python API runs in a new folder, and prints what it should."""
    assert re.fullmatch(printed, output_of(folder, script))


def test_script_trains_an_export(finished):
    """The script about exports and final trainings runs after a campaign."""
    printed = r"small/\w+ \d+ \{.*\}\n0\.\d+ 0\.\d+ recorded with small/\w+\n"
    assert re.fullmatch(printed, output_of(finished, "final_training.py"))


def test_example_tidies_up(folder):
    """The function that cleans up leaves the log files of completed trials, and none of pruned ones."""
    (folder / "tidy.toml").write_text(
        'name = "tidy"\nobjective = "tidy:train"\nepochs = 10\n'
        '[[stage]]\nname = "only"\ntrials = 8\npruner = "halving"\nspace = { rate = [0.01, 1] }\n',
        "utf-8",
    )
    (stage,) = status_after(folder, "tidy.toml")["stages"]
    assert len(list(folder.glob("trial-*.log"))) == stage["completed"] == 2


def test_killed_example_trains_each_trial_once(folder):
    """A run whose workers and then itself are killed resumes, and trains the same trials as one worker."""
    shorter = tomlkit.parse((EXAMPLES / "digits_svm.toml").read_text("utf-8"))
    for stage, trials in zip(shorter["stage"], (8, 4), strict=True):
        stage["trials"] = trials
    shorter["stage"][0]["space"] = {"C": [0.1, 10], "gamma": [1e-4, 1e-2]}  # others take a multiple of the time
    shorter["confirm"] = {"top": 2, "seeds": 2}
    (folder / "digits_svm.toml").write_text(tomlkit.dumps(shorter), "utf-8")
    command = (run_command, "run", "digits_svm.toml", "--workers", "2")
    process = Forked(*command, cwd=folder)
    wait_until(lambda: ended(folder) > 2 and len(workers_of(process)) == 2)
    for worker in workers_of(process):
        worker.kill()
    wait_until(lambda: ended(folder) > 4)
    workers = workers_of(process)
    process.kill()
    assert end_of(process)[0] == -signal.SIGKILL
    assert psutil.wait_procs(workers, timeout=PATIENCE)[1] == []  # they end by themselves
    process = Forked(*command, cwd=folder)
    code, stderr = end_of(process)
    assert code == 0, stderr
    run_here(folder, "digits_svm.toml", "--storage", "undisturbed.db")
    assert table(folder / "studies.db") == table(folder / "undisturbed.db")
