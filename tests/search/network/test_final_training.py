"""`coarsefine train`: final trainings of an export, their files, checkpoints and records."""

import csv
import json
import re
import shutil
import signal
import sqlite3
from contextlib import closing

import numpy as np
import psutil
import pytest
from campaigns import write_campaign
from commands import coarsefine
from forked import Forked, run_script
from processes import dead, end_of, wait_until
from stored import forget_seal, table

from coarsefine.model import Network, evaluate
from coarsefine.model.arithmetic import arithmetic_name, has_kernel, instruction_set
from coarsefine.model.datasets import load_digits
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.engine.run import run
from coarsefine.search.results.status_reading import read_status
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage

RECIPE = ("--epochs", 8, "--seeds", 2)
DISTURBED = """
import os, sys
from itertools import count
from pathlib import Path
from coarsefine.model import Training
from coarsefine.search.cli import main
from coarsefine.search.network import final_training
from coarsefine.search.network.final_training import FinalTraining

signal, moment = int(sys.argv[1]), sys.argv[2]
final_training._SAVE_SECONDS = final_training._SAVE_SHARE = 0  # a checkpoint after each epoch
epochs, checkpoints = count(1), count(1)
run, run_epoch, replace = FinalTraining.run, Training.run_epoch, Path.replace

def reach(this):
    this == moment and os.kill(os.getpid(), signal)

def run_saving(training):
    training._save_interval = 0
    return run(training)

def in_epoch(training):
    reach(f"epoch {next(epochs)}")
    return run_epoch(training)

def in_checkpoint(new, path):
    number = next(checkpoints) if path.name == "unfinished.checkpoint" else None
    reach(f"checkpoint {number} is written")
    replace(new, path)
    reach(f"checkpoint {number} is in place")

FinalTraining.run, Training.run_epoch, Path.replace = run_saving, in_epoch, in_checkpoint
sys.argv = ["coarsefine", "train", "small.json", "--output", "out", *sys.argv[3:]]
main()
"""
"""A training that sends itself a signal; the first three epochs of a new one reproduce the trial."""


@pytest.fixture(scope="module")
def campaign_folder(tmp_path_factory):
    """Run the small campaign and export its winner; return the folder."""
    folder = write_campaign(tmp_path_factory.mktemp("trained"))
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    assert coarsefine("export", "small", "--output", "small.json", cwd=folder).returncode == 0
    return folder


@pytest.fixture
def export(campaign_folder, tmp_path):
    """Copy the export into a folder without studies; return its path."""
    (tmp_path / "small.json").write_bytes((campaign_folder / "small.json").read_bytes())
    return tmp_path / "small.json"


def start(folder, kind, moment):
    """Start a training as a process that sends itself a signal at a moment."""
    script = folder / "disturbed.py"
    script.write_text(DISTURBED, "utf-8")
    return Forked(run_script, script, int(kind), moment, *RECIPE, cwd=folder)


def start_pausing(folder):
    """Start a training; return it once it has suspended itself in its third epoch."""
    process = start(folder, signal.SIGSTOP, "epoch 6")
    wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    return process


def kill(folder, moment):
    """Let a training kill itself at a moment."""
    code, stderr = end_of(start(folder, signal.SIGKILL, moment))
    assert code == -signal.SIGKILL, stderr


def read_curves(folder):
    """Return the rows of a training's curves."""
    return list(csv.DictReader((folder / "curves.csv").read_text("utf-8").splitlines()))


def weights_of(folder):
    """Return the bytes of each array of a training's network, by name."""
    with np.load(folder / "model.npz") as arrays:
        return {name: array.tobytes() for name, array in arrays.items()}


def test_several_seeds_train_as_one_stack(campaign_folder, export):
    """Several seeds give a mean, an interval, an ensemble and curves; the first repeats the campaign's training."""
    folder = export.parent
    result = coarsefine("train", "small.json", "--seeds", 3, "--output", "out", "--json", cwd=folder)
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert record["recorded"] is None
    assert record["reproduction"] == {"exact": True, "difference": 0.0, "like": True}
    assert len(set(record["seeds"])) == 3
    assert record["test_accuracy"] == pytest.approx(np.mean(record["test_accuracies"]))
    assert record["test"]["low"] <= record["test_accuracy"] <= record["test"]["high"]
    campaign = json.loads(coarsefine("status", "--json", cwd=campaign_folder).stdout)["final"]
    assert (record["seeds"][0], record["test_accuracies"][0]) == (campaign["seeds"][0], campaign["test_accuracy"])
    network, data = Network.load(folder / "out" / "model.npz"), load_digits()
    assert [evaluation.accuracy for evaluation in evaluate(network.theta, data.test)] == record["test_accuracies"]
    assert (network.probabilities(data.test.x).argmax(1) == data.test.y).mean() == record["ensemble_accuracy"]
    rows = read_curves(folder / "out")
    assert len(rows) == 3 * 4
    last = [float(row["validation_accuracy"]) for row in rows if row["epoch"] == "4"]
    assert last == record["validation_accuracies"]


def test_model_card_describes_the_measurement(export):
    """The card has settings, accuracies, seeds and limits, and mentions no finalists if there were none."""
    result = coarsefine("train", "small.json", "--seeds", 2, "--output", "out", "--json", cwd=export.parent)
    record, card = json.loads(result.stdout), (export.parent / "out" / "MODEL_CARD.md").read_text("utf-8")
    settings = json.loads(export.read_text("utf-8"))["settings"]
    assert f"η = {settings['eta']:.6g}, multiplied by 0.95" in card
    assert f"λ = {settings['lambda']:.6g}" in card
    for value in record["test_accuracies"]:
        assert f"{value:.2%}" in card
    assert "used the 300 test images once" in card
    assert "It had the highest validation accuracy of 15 completed trials" in card
    assert "was not trained again on new seeds" in card
    assert f"; {arithmetic_name()}, {instruction_set()}.\n" in card or not has_kernel()
    assert "## Limits" in card
    assert not re.search(r"\{|\}|None|nan", card)


def test_training_on_validation_images(export):
    """Training on the validation images uses the given decay and reports no validation accuracy."""
    options = ("--on-validation", "--decay", 0.9, "--epochs", 6)
    result = coarsefine("train", "small.json", *options, "--output", "out", "--json", cwd=export.parent)
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert (record["on_validation"], record["decay"], record["epochs"]) == (True, 0.9, 6)
    assert record["validation_accuracy"] is None
    assert record["validation_accuracies"] == []
    assert record["reproduction"]["exact"], "the reproduction uses the training images alone"
    card = (export.parent / "out" / "MODEL_CARD.md").read_text("utf-8")
    assert "1,497 images" in card
    assert "validation |" not in card
    rows = read_curves(export.parent / "out")
    assert {row["validation_accuracy"] for row in rows} == {""}


def test_killed_training_resumes_to_the_same_weights(export):
    """A training that is killed in an epoch and while it saves ends with the weights of an undisturbed training."""
    folder = export.parent
    undisturbed = coarsefine("train", "small.json", *RECIPE, "--output", "expected", "--json", cwd=folder)
    assert undisturbed.returncode == 0, undisturbed.stderr
    for moment in ("epoch 6", "checkpoint 2 is written", "checkpoint 2 is in place"):
        kill(folder, moment)
    last = coarsefine("train", "small.json", *RECIPE, "--output", "out", "--json", cwd=folder)
    assert last.returncode == 0, last.stderr
    assert "final 5/8" not in last.stderr, "the epochs before the last checkpoint are not trained again"
    assert weights_of(folder / "expected") == weights_of(folder / "out")
    assert (folder / "expected" / "curves.csv").read_bytes() == (folder / "out" / "curves.csv").read_bytes()
    accuracies = [json.loads(result.stdout)["test_accuracies"] for result in (undisturbed, last)]
    assert accuracies[0] == accuracies[1]
    assert not list((folder / "out").glob("unfinished.checkpoint*"))


def test_threads_change_no_bit(export, cli):
    """Trainings with one thread and with three end with the same weights and curves."""
    folder = export.parent
    for threads in (1, 3):
        code, _, error = cli("train", export, *RECIPE, "--threads", threads, "--output", folder / f"{threads}")
        assert code == 0, error
    assert weights_of(folder / "1") == weights_of(folder / "3")
    assert (folder / "1" / "curves.csv").read_bytes() == (folder / "3" / "curves.csv").read_bytes()


def test_stopped_training_prints_the_command_to_resume(export):
    """SIGTERM ends the training after an epoch with exit code 130, and prints the command that resumes it."""
    process = start_pausing(export.parent)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    code, stderr = end_of(process)
    assert code == 130
    assert "final 3/8" in stderr
    assert "final 4/8" not in stderr
    assert "To resume from the last checkpoint: " in stderr
    assert "train small.json --output out" in stderr
    other = coarsefine("train", "small.json", "--output", "out", cwd=export.parent)
    assert other.returncode == 2
    assert "holds an unfinished training with another export or other settings" in other.stderr


def test_finished_training_is_not_repeated(export):
    """The same command prints the stored result; another recipe does not overwrite it."""
    first = coarsefine("train", "small.json", "--output", "out", "--json", cwd=export.parent)
    again = coarsefine("train", "small.json", "--output", "out", "--json", cwd=export.parent)
    assert json.loads(first.stdout)["ended"] == json.loads(again.stdout)["ended"]
    other = coarsefine("train", "small.json", "--output", "out", "--epochs", 9, cwd=export.parent)
    assert other.returncode == 2
    assert "holds another final training: name another --output" in other.stderr
    (export.parent / "out" / "final.json").write_text("{}", "utf-8")
    broken = coarsefine("train", "small.json", "--output", "out", cwd=export.parent)
    assert (broken.returncode, "Traceback" in broken.stderr) == (2, False)


def test_training_is_recorded_with_its_campaign(campaign_folder):
    """`status` and `report` show a training once, even if it was requested twice."""
    before = table(campaign_folder / "studies.db")
    for _ in range(2):
        result = coarsefine("train", "small.json", "--epochs", 5, "--json", cwd=campaign_folder)
        assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert record["recorded"].startswith("small/")
    status = json.loads(coarsefine("status", "--json", cwd=campaign_folder).stdout)
    del record["recorded"]
    assert status["trainings"] == [record]
    assert table(campaign_folder / "studies.db") == before
    storage = open_storage(locate(campaign_folder / "studies.db"))
    assert len(read_status(storage, "small").trainings) == 1
    storage.close()
    assert "5 epochs" in coarsefine("status", cwd=campaign_folder).stdout
    report = coarsefine("report", "small", "--output", "small.html", cwd=campaign_folder)
    assert report.returncode == 0, report.stderr
    assert "Other final trainings" in (campaign_folder / "small.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--epochs", 0), "epochs = 0: must be greater than or equal to 1"),
        (("--seeds", 0), "seeds = 0"),
        (("--decay", 1.5), "decay = 1.5"),
        (("--decay", "nan"), "decay = nan"),
    ],
)
def test_invalid_recipe_is_refused(export, cli, options, message):
    """The error names the invalid value, and the exit code is 2."""
    code, _, err = cli("train", export, *options)
    assert code == 2
    assert message in err


def test_unusable_folder_is_refused_before_training(export):
    """An output folder that cannot be created, or that holds other files, is refused before training."""
    (export.parent / "out").write_text("a file", "utf-8")
    result = coarsefine("train", "small.json", *RECIPE, "--output", "out", cwd=export.parent)
    assert result.returncode == 5
    assert "out cannot be written" in result.stderr
    assert "final " not in result.stderr
    (export.parent / "mine").mkdir()
    (export.parent / "mine" / "model.npz").write_text("mine", "utf-8")
    other = coarsefine("train", "small.json", "--output", "mine", cwd=export.parent)
    assert other.returncode == 2
    assert "holds other files" in other.stderr
    assert (export.parent / "mine" / "model.npz").read_text("utf-8") == "mine"


def test_second_training_in_a_folder_is_refused(export):
    """While a process trains in a folder, another process is refused and changes nothing."""
    first = start_pausing(export.parent)
    second = coarsefine("train", "small.json", *RECIPE, "--output", "out", cwd=export.parent)
    assert second.returncode == 2
    assert "Another process trains in" in second.stderr
    first.kill()
    first.communicate()


def test_missing_files_of_a_finished_training_are_written(export):
    """If a process was killed after it used the test images, the next one only writes the missing files."""
    first = coarsefine("train", "small.json", "--output", "out", "--json", cwd=export.parent)
    out = export.parent / "out"
    card = (out / "MODEL_CARD.md").read_bytes()
    for name in ("MODEL_CARD.md", "curves.html"):
        (out / name).unlink()
    (out / f"MODEL_CARD.md-new-{dead()}").write_text("half", "utf-8")
    again = coarsefine("train", "small.json", "--output", "out", "--json", cwd=export.parent)
    assert again.stdout == first.stdout
    assert (out / "MODEL_CARD.md").read_bytes() == card
    names = {"MODEL_CARD.md", "curves.csv", "curves.html", "export.json", "final.json", "model.npz"}
    assert {path.name for path in out.iterdir() if path.name[0] != "."} == names


def test_damaged_checkpoint_restarts_the_training(export):
    """If the checkpoint is damaged, the training starts from the first epoch and says so."""
    kill(export.parent, "epoch 6")
    checkpoint = export.parent / "out" / "unfinished.checkpoint"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    result = coarsefine("train", "small.json", *RECIPE, "--output", "out", cwd=export.parent)
    assert result.returncode == 0
    assert "is damaged: the final training starts over" in result.stderr
    assert "final 1/8" in result.stderr


def test_invalid_storage_is_refused_before_training(export):
    """A --storage that is not a SQLite file ends the command before anything is trained."""
    (export.parent / "bad.db").write_bytes(b"no database at all" * 100)
    result = coarsefine("train", "small.json", *RECIPE, "--storage", "bad.db", cwd=export.parent)
    assert result.returncode == 5
    assert not (export.parent / "trained").exists()


def test_final_training_of_another_version_is_named(campaign_folder, tmp_path, cli):
    """A record that lacks required keys is left out and named by `status`; `run` ends with exit code 2."""
    for name in ("studies.db", "small.toml"):
        shutil.copy(campaign_folder / name, tmp_path)
    forget_seal(tmp_path / "studies.db")
    with closing(sqlite3.connect(tmp_path / "studies.db")) as connection, connection:
        connection.execute("UPDATE study_user_attributes SET value_json = '{\"epochs\": 4}' WHERE key = 'final'")
    code, out, err = cli("status")
    assert code == 0
    assert "small/coarse: 9 completed of 9 trials" in " ".join(out.split())
    assert "The study small/fine is not as Coarsefine writes it: final: study: Field required. It is left out." in err
    code, _, err = cli("run", "small.toml")
    assert code == 2
    assert "has a final training that this version of Coarsefine cannot read" in err
