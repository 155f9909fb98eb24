"""`coarsefine try` runs one trial of user code in the foreground, and stores nothing."""

import re
from pathlib import Path

import pytest
from campaigns import write_campaign
from command_campaigns import command
from commands import coarsefine_process

from coarsefine import Campaign, run, trials

BREAKS = """
import os

THREADS = os.environ.get("OMP_NUM_THREADS")


def train(point, seed, report):
    breakpoint()
    return point["a"]


def objective(trial):
    a = trial.suggest_float("a", 0.001, 1.0, log=True)
    trial.suggest_categorical("shape", ["round", "square"])
    trial.report(a, 0)
    print("pruned?", trial.should_prune())
    return 2 * a


def keeps(point, seed, report):
    (report.folder / "model").write_text("weights")
    print("attempt", report.attempt)
    return 1.0


def leaves(point, seed, report):
    raise SystemExit(3)


def environment(point, seed, report):
    names = ("COARSEFINE_EPOCHS", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    print("variables", *(os.environ[name] for name in names), THREADS)
    return 1.0
"""


def campaign_in(folder, function, **changes):
    """Write the campaign of a function."""
    (folder / "breaking.py").write_text(BREAKS, "utf-8")
    changes = {"epochs": None, **changes}
    return write_campaign(folder, "objective", objective=function, **changes) / "small.toml"


def test_trial_is_that_of_the_run(tmp_path, cli):
    """The trial has the point, the seed and the values of the stage's first trial in a run; nothing is stored."""
    path = campaign_in(tmp_path, "user_functions:talks", epochs=6)
    before = {*tmp_path.iterdir()}
    code, out, error = cli("try", path, "--seed", 7, "--point", "shape=round")
    assert (code, error) == (0, "")
    assert {*tmp_path.iterdir()} == before
    heading, *lines, result = out.splitlines()
    assert re.fullmatch(r"Trial of small/coarse: a = \S+, shape = round; seed 7", heading)
    assert lines[0] == "epoch 1 at <b>round</b>"
    assert re.fullmatch(r"epoch 1/6  value \S+  f1 0.1", lines[1])
    assert len(lines) == 12
    assert re.fullmatch(r"Result: value \S+  f1 0.6, in \S+ s", result)
    path = campaign_in(tmp_path, "user_functions:single", epochs=6)
    status = run(Campaign.load(path), tmp_path / "studies.db")
    value = trials("small", tmp_path / "studies.db", stage="coarse")["value"][0]
    code, out, _ = cli("try", path)
    assert code == 0
    assert status.state == "done"
    assert out.splitlines()[-1].startswith(f"Result: value {value:.5g}, in")


def test_debugger_can_be_used(tmp_path):
    """`breakpoint()` stops in the function, in the terminal of the command."""
    campaign_in(tmp_path, "breaking:train")
    answer = coarsefine_process("try", "small.toml", "--point", "a=0.25", cwd=tmp_path, input="p point['a'] * 2\nc\n")
    assert answer.returncode == 0, answer.stderr
    assert "(Pdb) 0.5\n" in answer.stdout
    assert "Result: value 0.25, in" in answer.stdout
    left = coarsefine_process("try", "small.toml", cwd=tmp_path, input="q\n")
    assert (left.returncode, left.stderr) == (130, "The debugger was left.\n")


def test_optuna_objective_is_tried(tmp_path, cli):
    """An Optuna objective is called with a trial; the number of reports is named if `epochs` is another one."""
    code, out, error = cli("try", campaign_in(tmp_path, "breaking:objective"), "--point", "a=0.5")
    assert (code, error) == (0, "")
    assert out.splitlines()[1:3] == ["epoch 1/1  value 0.5", "pruned? False"]
    assert out.splitlines()[-1].startswith("Result: value 1, in")
    code, _, error = cli("try", campaign_in(tmp_path, "breaking:objective", epochs=4))
    assert (code, error) == (
        0,
        "It returned after 1 report, and `epochs` is 4: have it report as often as `trial.epochs` says, or set "
        "`epochs` to 1.\n",
    )


def test_files_are_kept_in_a_temporary_folder(tmp_path, cli):
    """What the function writes into its folder is kept, and the folder is named; an empty one is removed."""
    code, out, _ = cli("try", campaign_in(tmp_path, "breaking:keeps"))
    assert code == 0
    (folder,) = re.findall(r"^Files: (.*)$", out, re.MULTILINE)
    assert [path.name for path in Path(folder).iterdir()] == ["model"]
    assert "attempt 1" in out


@pytest.mark.parametrize("form", ["function", "command"])
def test_failed_trial_leaves_no_empty_folder(tmp_path, cli, monkeypatch, form):
    """The folder of a trial that failed is removed if nothing is in it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    if form == "function":
        campaign_in(tmp_path, "breaking:leaves")
    else:
        write_campaign(tmp_path, "objective", objective=None, command=command("exits"))
    assert cli("try", "small.toml")[0] == 3
    assert [*temporary.iterdir()] == []


def test_function_has_the_environment_of_a_run(tmp_path, cli, monkeypatch):
    """The variables of a trial are set, and `threads` and `gpus` limit it, also while its module is imported."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    code, out, error = cli("try", campaign_in(tmp_path, "breaking:environment", epochs=5, threads=2, gpus=1))
    assert (code, "variables 5 2 4 2" in out.splitlines()) == (0, True), error


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("user_functions:raises", "The trial failed: ValueError: no such kernel:"),
        ("user_functions:reports_text", "The trial failed: its value of epoch 1 is '0.5', no number."),
        ("breaking:leaves", "The trial failed: SystemExit: 3 (breaking.py, line"),
    ],
)
def test_failure_is_a_sentence_after_the_traceback(tmp_path, cli, function, sentence):
    """A trial that fails ends the command with exit code 3, the traceback, and the reason that a run would record."""
    code, _, error = cli("try", campaign_in(tmp_path, function, epochs=6))
    assert code == 3
    assert error.splitlines()[-1].startswith(sentence)
    assert ("Traceback (most recent call last):" in error) == ("value of epoch" not in sentence)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--point", "a"), "--point 'a' has no value: write NAME=VALUE."),
        (("--point", "b=1"), "--point 'b=1': there is no parameter 'b', only a, shape."),
        (("--point", "a=x"), "--point 'a=x': a is log-uniform, 0.001 to 1."),
        (("--point", "a=nan"), "--point 'a=nan': a is log-uniform, 0.001 to 1."),
        (("--point", "a=1e999"), "--point 'a=1e999': a is log-uniform, 0.001 to 1."),
        (("--point", "shape=flat"), "--point 'shape=flat': shape is choice, one of round, square."),
        (("--stage", "other"), "small has no stage 'other': it has coarse, fine."),
    ],
)
def test_impossible_trial_is_refused(tmp_path, cli, options, sentence):
    """A parameter, a value or a stage that the campaign does not have is refused in a sentence."""
    code, out, error = cli("try", campaign_in(tmp_path, "user_functions:single", epochs=6), *options)
    assert (code, out, error) == (2, "", f"{sentence}\n")


def test_optuna_objective_gets_no_value_outside_its_range(tmp_path, cli):
    """A value outside the range, which `suggest_float` would not allow, is refused with the range."""
    code, _, error = cli("try", campaign_in(tmp_path, "breaking:objective"), "--point", "a=5")
    assert (code, error) == (
        2,
        "--point a=5.0: a is log-uniform, 0.001 to 1: an Optuna objective takes no other value: choose one "
        "in that range, or change the range in the campaign file.\n",
    )


def test_seed_is_one_that_numpy_takes(tmp_path, cli):
    """A seed of more than 32 bits is refused."""
    code, _, error = cli("try", campaign_in(tmp_path, "user_functions:single", epochs=6), "--seed", 2**32)
    assert code == 2
    assert "--seed" in error
    assert "4294967295" in error


def test_network_has_nothing_to_try(cli):
    """A campaign of the built-in network is refused with the command that trains it."""
    code, _, error = cli("try", "digits")
    assert (code, error) == (2, "digits has no code of yours to try: start it with `coarsefine run`.\n")


@pytest.mark.parametrize("parse", [None, r"^value (?P<value>\S+)"], ids=["file", "output"])
def test_command_is_tried_in_the_foreground(cli, tmp_path, parse):
    """A command runs once with the given point, its reports and its output are shown, and nothing is stored."""
    write_campaign(tmp_path, "objective", objective=None, command=command(), **({"parse": parse} if parse else {}))
    code, out, error = cli("try", "small.toml", "--point", "a=0.1", "--seed", 0)
    assert (code, error) == (0, "")
    assert re.search(r"^epoch 6/6  value 0\.95$", out, re.MULTILINE)
    assert out.splitlines()[-1].startswith("Result: value 0.95, in ")
    assert not (tmp_path / "studies.db").exists()


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("exits", "The trial failed: it ended with exit code 3."),
        ("crashes", "The trial failed: it was killed by signal 11 (SIGSEGV)."),
        (
            "says nothing",
            "The trial failed: it ended with exit code 0, and wrote no value to the file that ",
        ),
        ("diverges", "The trial failed: diverged in epoch 2: its value is nan."),
        (
            "reports text",
            "The trial failed: its report 'no number' is not a line of JSON: Expecting value",
        ),
    ],
)
def test_failed_command_says_why(cli, tmp_path, mode, message):
    """A command that fails in the foreground ends with exit code 3 and the reason."""
    write_campaign(tmp_path, "objective", objective=None, command=command(mode))
    code, _, error = cli("try", "small.toml")
    assert code == 3
    assert message in error


def test_program_that_cannot_be_started_says_so(cli, tmp_path):
    """A program that a parameter chooses and that is not there is named in the sentence that a run has."""
    write_campaign(tmp_path, "objective", objective=None, command=["./{shape}"])
    code, _, error = cli("try", "small.toml", "--point", "shape=round")
    assert (code, error) == (3, "The trial failed: ./round cannot be started: No such file or directory.\n")
