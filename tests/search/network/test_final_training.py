import csv
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress

import numpy as np
import pytest
from campaigns import write_campaign
from commands import coarsefine
from processes import dead, start_command, wait_until
from stored import table

from coarsefine.model import Network, evaluate
from coarsefine.model.datasets import load_digits
from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.engine.run import run
from coarsefine.search.files import read_checksummed
from coarsefine.search.results.status import read_status
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage

SLOW = ("--epochs", "1500", "--seeds", "2")
KILLS = 3


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with the small campaign, done, and its export."""
    folder = write_campaign(tmp_path_factory.mktemp("trained"))
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    assert coarsefine("export", "small", "--output", "small.json", cwd=folder).returncode == 0
    return folder


@pytest.fixture
def export(done, tmp_path):
    """A copy of the export alone, in a folder without studies."""
    (tmp_path / "small.json").write_bytes((done / "small.json").read_bytes())
    return tmp_path / "small.json"


def start(folder, *arguments):
    """Start a final training in a process of its own."""
    command = [sys.executable, "-m", "coarsefine", "train", "small.json", "--output", "out", *arguments]
    return start_command(*command, cwd=folder)


def is_newer(path, before):
    """Tell whether a file was written since a moment."""
    return path.exists() and path.stat().st_mtime_ns > before


def read_curves(folder):
    """Return the rows of a training's curves."""
    return list(csv.DictReader((folder / "curves.csv").read_text("utf-8").splitlines()))


def test_several_seeds_train_as_one_stack(done, export):
    """Mean with interval, ensemble, curves of each seed; the first is the trial's own, and ends as the campaign's."""
    folder = export.parent
    answer = coarsefine("train", "small.json", "--seeds", 3, "--output", "out", "--json", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert told["recorded"] is None
    assert told["reproduction"] == {"exact": True, "difference": 0.0, "like": True}
    assert len(set(told["seeds"])) == 3
    assert told["test_accuracy"] == pytest.approx(np.mean(told["test_accuracies"]))
    assert told["test"]["low"] <= told["test_accuracy"] <= told["test"]["high"]
    campaign = json.loads(coarsefine("status", "--json", cwd=done).stdout)["final"]
    assert (told["seeds"][0], told["test_accuracies"][0]) == (campaign["seeds"][0], campaign["test_accuracy"])
    network, data = Network.load(folder / "out" / "model.npz"), load_digits()
    assert [one.accuracy for one in evaluate(network.theta, data.test)] == told["test_accuracies"]
    assert (network.probabilities(data.test.x).argmax(1) == data.test.y).mean() == told["ensemble_accuracy"]
    rows = read_curves(folder / "out")
    assert len(rows) == 3 * 4
    last = [float(row["validation_accuracy"]) for row in rows if row["epoch"] == "4"]
    assert last == told["validation_accuracies"]


def test_model_card_tells_what_was_measured(export):
    """The card has setting, accuracies, seeds and limits; it does not claim finalists where there were none."""
    answer = coarsefine("train", "small.json", "--seeds", 2, "--output", "out", "--json", cwd=export.parent)
    told, card = json.loads(answer.stdout), (export.parent / "out" / "MODEL_CARD.md").read_text("utf-8")
    settings = json.loads(export.read_text("utf-8"))["settings"]
    assert f"η = {settings['eta']:.6g}, multiplied by 0.95" in card
    assert f"λ = {settings['lambda']:.6g}" in card
    for value in told["test_accuracies"]:
        assert f"{value:.2%}" in card
    assert "used the 300 test images once" in card
    assert "It had the highest of 15 completed trials" in card
    assert "was not trained again on new seeds" in card
    assert "## Limits" in card
    assert not re.search(r"\{|\}|None|nan", card)


def test_training_on_validation_images(export):
    """With validation images among those trained on, the recipe's own decay holds, and no validation is claimed."""
    options = ("--on-validation", "--decay", 0.9, "--epochs", 6)
    answer = coarsefine("train", "small.json", *options, "--output", "out", "--json", cwd=export.parent)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert (told["on_validation"], told["decay"], told["epochs"]) == (True, 0.9, 6)
    assert told["validation_accuracy"] is None
    assert told["validation_accuracies"] == []
    assert told["reproduction"]["exact"], "reproduced as it was: on training images alone"
    card = (export.parent / "out" / "MODEL_CARD.md").read_text("utf-8")
    assert "1,497 images" in card
    assert "validation |" not in card
    rows = read_curves(export.parent / "out")
    assert {row["validation_accuracy"] for row in rows} == {""}


def test_killed_again_and_again_gives_the_same_bits(export):
    """kill -9 again and again: the same command continues, to the weights of an undisturbed training."""
    folder = export.parent
    whole = coarsefine("train", "small.json", *SLOW, "--output", "calm", "--json", cwd=folder)
    assert whole.returncode == 0, whole.stderr
    checkpoint = folder / "out" / "unfinished.checkpoint"
    rng, kills = np.random.default_rng(0), 0
    while kills < KILLS:
        process = start(folder, *SLOW)
        for _ in range(1 + int(rng.integers(2))):
            before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            wait_until(
                lambda before=before, process=process: is_newer(checkpoint, before) or process.poll() is not None
            )
        with suppress(subprocess.TimeoutExpired):
            process.wait(float(rng.uniform(0, 0.7)))  # at any moment: amid an epoch, amid a checkpoint
        assert process.poll() is None, "it is killed amid the training, not after it"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
    last = coarsefine("train", "small.json", *SLOW, "--output", "out", "--json", cwd=folder)
    assert last.returncode == 0, last.stderr
    calm, killed = (np.load(folder / name / "model.npz") for name in ("calm", "out"))
    for name in calm.files:
        assert calm[name].tobytes() == killed[name].tobytes(), name
    assert (folder / "calm" / "curves.csv").read_bytes() == (folder / "out" / "curves.csv").read_bytes()
    theirs = [json.loads(answer.stdout)["test_accuracies"] for answer in (whole, last)]
    assert theirs[0] == theirs[1]
    assert not checkpoint.exists()


def test_stopped_training_says_how_to_go_on(export):
    """SIGTERM ends the epoch, keeps it, and prints the command that goes on; exit code 130."""
    process = start(export.parent, *SLOW)
    wait_until((export.parent / "out" / "unfinished.checkpoint").exists)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=240)
    assert process.returncode == 130
    assert "To resume from the last checkpoint: " in told
    assert "train small.json --output out" in told
    other = coarsefine("train", "small.json", "--output", "out", cwd=export.parent)
    assert other.returncode == 2
    assert "holds an unfinished training with another export or other settings" in other.stderr


def test_finished_training_is_told_not_repeated(export):
    """The same command again uses no test image again; another recipe does not overwrite what is there."""
    first = coarsefine("train", "small.json", "--output", "out", "--json", cwd=export.parent)
    again = coarsefine("train", "small.json", "--output", "out", "--json", cwd=export.parent)
    assert json.loads(first.stdout)["ended"] == json.loads(again.stdout)["ended"]
    other = coarsefine("train", "small.json", "--output", "out", "--epochs", 9, cwd=export.parent)
    assert other.returncode == 2
    assert "holds another final training: name another --output" in other.stderr
    (export.parent / "out" / "final.json").write_text("{}", "utf-8")
    broken = coarsefine("train", "small.json", "--output", "out", cwd=export.parent)
    assert (broken.returncode, "Traceback" in broken.stderr) == (2, False)


def test_training_is_recorded_with_its_campaign(done):
    """Beside its studies a training is told by `status` and `report`, once however often it is asked for."""
    before = table(done / "studies.db")
    for _ in range(2):
        answer = coarsefine("train", "small.json", "--epochs", 5, "--json", cwd=done)
        assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert told["recorded"].startswith("small/")
    status = json.loads(coarsefine("status", "--json", cwd=done).stdout)
    del told["recorded"]
    assert status["trainings"] == [told]
    assert table(done / "studies.db") == before
    storage = open_storage(locate(done / "studies.db"))
    assert len(read_status(storage, "small").trainings) == 1
    storage.close()
    assert "5 epochs" in coarsefine("status", cwd=done).stdout
    report = coarsefine("report", "small", "--output", "small.html", cwd=done)
    assert report.returncode == 0, report.stderr
    assert "Other final trainings" in (done / "small.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--epochs", 0), "epochs = 0: must be greater than or equal to 1"),
        (("--seeds", 0), "seeds = 0"),
        (("--decay", 1.5), "decay = 1.5"),
        (("--decay", "nan"), "decay = nan"),
    ],
)
def test_recipe_that_cannot_be_is_refused(export, cli, options, told):
    """What is wrong with the final training is named, with exit code 2."""
    code, _, err = cli("train", export, *options)
    assert code == 2
    assert told in err


def test_folder_that_cannot_be_written_is_told_at_once(export):
    """A file where the folder should be, or files of somebody else: told before anything is trained."""
    (export.parent / "out").write_text("a file", "utf-8")
    answer = coarsefine("train", "small.json", *SLOW, "--output", "out", cwd=export.parent)
    assert answer.returncode == 5
    assert "out cannot be written" in answer.stderr
    assert "final " not in answer.stderr
    (export.parent / "mine").mkdir()
    (export.parent / "mine" / "model.npz").write_text("mine", "utf-8")
    other = coarsefine("train", "small.json", "--output", "mine", cwd=export.parent)
    assert other.returncode == 2
    assert "holds other files" in other.stderr
    assert (export.parent / "mine" / "model.npz").read_text("utf-8") == "mine"


def test_two_trainings_in_one_folder_are_one_too_many(export):
    """While a process trains in a folder, another is told so, and changes nothing there."""
    first = start(export.parent, *SLOW)
    wait_until((export.parent / "out" / "unfinished.checkpoint").exists)
    second = coarsefine("train", "small.json", *SLOW, "--output", "out", cwd=export.parent)
    assert second.returncode == 2
    assert "Another process trains in" in second.stderr
    first.kill()
    first.communicate()


def test_what_a_dead_process_left_untold_is_made_up_for(export):
    """Killed after the test images were used, a training is not measured again: what is missing is written, no more."""
    whole = coarsefine("train", "small.json", "--output", "out", "--json", cwd=export.parent)
    out = export.parent / "out"
    card = (out / "MODEL_CARD.md").read_bytes()
    for name in ("MODEL_CARD.md", "curves.html"):
        (out / name).unlink()
    (out / f"MODEL_CARD.md-new-{dead()}").write_text("half", "utf-8")
    again = coarsefine("train", "small.json", "--output", "out", "--json", cwd=export.parent)
    assert again.stdout == whole.stdout
    assert (out / "MODEL_CARD.md").read_bytes() == card
    names = {"MODEL_CARD.md", "curves.csv", "curves.html", "export.json", "final.json", "model.npz"}
    assert {path.name for path in out.iterdir() if path.name[0] != "."} == names


def test_checkpoint_that_is_torn_is_told(export):
    """A checkpoint that is not whole is begun anew, and that is said."""
    process = start(export.parent, *SLOW)
    checkpoint = export.parent / "out" / "unfinished.checkpoint"
    wait_until(checkpoint.exists)
    process.kill()
    process.communicate()
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    process = start(export.parent, *SLOW)
    wait_until(lambda: read_whole(checkpoint))
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=240)
    assert "is damaged: the final training starts over" in told


def read_whole(path):
    """Tell whether a checkpoint is whole."""
    with suppress(ValueError):
        return read_checksummed(path) is not None
    return False


def test_storage_that_is_none_is_told_before_the_training(export):
    """A file that is no SQLite file, as --storage, ends the command before anything is trained."""
    (export.parent / "bad.db").write_bytes(b"no database at all" * 100)
    answer = coarsefine("train", "small.json", *SLOW, "--storage", "bad.db", cwd=export.parent)
    assert answer.returncode == 5
    assert not (export.parent / "trained").exists()


def test_final_training_of_another_version_is_told(done, tmp_path, cli):
    """A record that lacks what is read now is a sentence with exit code 2, not a traceback."""
    shutil.copy(done / "studies.db", tmp_path / "studies.db")
    with closing(sqlite3.connect(tmp_path / "studies.db")) as connection, connection:
        connection.execute("UPDATE study_user_attributes SET value_json = '{\"epochs\": 4}' WHERE key = 'final'")
    code, _, err = cli("status")
    assert code == 2
    assert "has a final training that this version of Coarsefine cannot read" in err
