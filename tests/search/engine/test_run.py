import dataclasses
import itertools
import json
import re
import shutil
import sqlite3
import sys
from contextlib import closing

import optuna
import pytest
from campaigns import write_campaign
from commands import coarsefine
from forked import forked_command
from optuna.trial import TrialState
from stored import forget_seal, table

from coarsefine import Campaign, CampaignError, Interrupted, NothingCompleted, Observer, run
from coarsefine.model import Network
from coarsefine.search.campaign.dimension import LogUniform
from coarsefine.search.storage.optuna_storage import Storage
from coarsefine.search.storage.sqlite import journal_mode

WITHOUT_KERNEL = (
    "Training uses NumPy, which is slower than the kernel. COARSEFINE_KERNEL is “none”: unset it to use the kernel."
)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Return the small campaign, the file of its undisturbed run, and the status of that."""
    folder = write_campaign(tmp_path_factory.mktemp("undisturbed"))
    campaign = Campaign.load(folder / "small.toml")
    return campaign, folder / "studies.db", run(campaign, folder / "studies.db")


def test_campaign_runs_every_planned_trial_once(undisturbed):
    """A finished run has exactly the planned trials of each stage, a winner, and a trained network on disk."""
    campaign, path, status = undisturbed
    assert status.state == "done"
    assert [(s.trials, s.completed + s.diverged) for s in status.stages] == [(9, 9), (6, 6)]
    values = [trial.value for stage in status.stages for trial in stage.best]
    assert status.winner.value == max(values)
    assert status.final.reproduction.exact
    (folder,) = (path.parent / "trained").iterdir()
    assert Network.load(folder / "model.npz").theta.W1.shape == (1, campaign.model.hidden, 64)


def test_training_without_the_kernel_is_said_once(tmp_path):
    """Without the kernel, `run` and `train` warn once that NumPy trains, and why; not if there is nothing to train."""
    folder = write_campaign(tmp_path)
    said = {}
    for command in (
        "run small.toml --workers 2 --quiet", "run small.toml --quiet", "export small",
        "train exports/small.json --output out", "train exports/small.json --output out",
    ):  # fmt: skip
        answer = forked_command(*command.split(), cwd=folder, env={"COARSEFINE_KERNEL": "none"})
        assert answer.returncode == 0, answer.stderr
        said.setdefault(command, []).append((answer.stdout + answer.stderr).count(WITHOUT_KERNEL))
    assert list(said.values()) == [[1], [0], [0], [1, 0]]


def test_second_run_trains_nothing(undisturbed):
    """A second run of a finished campaign returns its status, opens no stage and changes nothing in the storage."""
    campaign, path, status = undisturbed
    before = path.read_bytes()
    opened = []

    class RecordingObserver(Observer):
        def on_stage_opened(self, status, stage):
            opened.append(stage)

    again = run(campaign, path, observer=RecordingObserver())
    assert again == status
    assert opened == []
    assert path.read_bytes() == before


def test_plain_optuna_reads_the_studies(undisturbed):
    """`optuna.load_study` shows parameters, values per epoch, seeds, parents, ranges and provenance."""
    _, path, status = undisturbed
    storage = f"sqlite:///{path}"
    coarse = optuna.load_study(study_name="small/coarse", storage=storage)
    fine = optuna.load_study(study_name="small/fine", storage=storage)
    assert coarse.direction.name == "MAXIMIZE"
    assert (coarse.user_attrs["parent"], fine.user_attrs["parent"]) == (None, "small/coarse")
    assert coarse.user_attrs["space"] == {"eta": [0.01, 1.0], "lambda": [1e-6, 0.01]}
    assert fine.user_attrs["narrowed_from"] == [t.number for t in status.stages[0].best]
    assert len(fine.user_attrs["data"]["digest"]) == 64
    for trial in fine.trials:
        assert set(trial.params) == {"eta", "lambda"}
        assert list(trial.intermediate_values) == [1, 2, 3]
        assert trial.value == trial.intermediate_values[3]
        assert trial.datetime_start <= trial.datetime_complete
        assert len(trial.user_attrs["train_loss"]) == 3
    assert fine.best_value == status.stages[1].best[0].value


def test_child_stage_is_narrowed_to_the_best_of_its_parent(undisturbed):
    """The fine stage covers the parent's best points; its first slots are these points with new seeds."""
    _, path, status = undisturbed
    coarse, fine = status.stages
    study = optuna.load_study(study_name="small/fine", storage=f"sqlite:///{path}")
    parent = {t.number: t for t in optuna.load_study(study_name="small/coarse", storage=f"sqlite:///{path}").trials}
    carried = study.user_attrs["carried"]
    assert [c["number"] for c in carried] == [0, 1]
    for pair in carried:
        ours, theirs = study.trials[pair["number"]], parent[pair["from"]]
        assert ours.params == theirs.params
        assert ours.user_attrs["seed"] != theirs.user_attrs["seed"]
    for trial in coarse.best:
        assert fine.space["eta"].low <= trial.point["eta"] <= fine.space["eta"].high
    for trial in study.trials:
        assert fine.space["eta"].contains(trial.params["eta"])
        assert fine.space["lambda"].contains(trial.params["lambda"])


@pytest.mark.parametrize("width", [1, 9])
def test_stack_width_changes_no_value(undisturbed, tmp_path, width):
    """A trial has the same values at every epoch, whether it trains alone or in a stack."""
    campaign, path, _ = undisturbed
    stages = [stage.model_copy(update={"stack": width}) for stage in campaign.stage]
    run(campaign.model_copy(update={"stage": stages}), tmp_path / "other.db")
    assert table(tmp_path / "other.db") == table(path)


def stop_at(question):
    """Return a `stop` function that returns True from its `question`th call on."""
    asked = itertools.count(1)
    return lambda: next(asked) >= question


@pytest.mark.parametrize("question", [1, 2, 5, 8, 13, 17, 19])
def test_stopped_and_resumed_run_records_the_same_values(undisturbed, tmp_path, question):
    """A run that stops at any moment leaves no trial RUNNING, and records the same values once it is resumed."""
    campaign, path, status = undisturbed
    with pytest.raises(Interrupted):
        run(campaign, tmp_path / "s.db", stop=stop_at(question))
    assert not any(state is TrialState.RUNNING for state, *_ in table(tmp_path / "s.db").values())
    resumed = run(campaign, tmp_path / "s.db")
    assert table(tmp_path / "s.db") == table(path)
    assert resumed.winner == status.winner
    assert resumed.final.test_accuracy == status.final.test_accuracy


def test_trials_are_read_once_before_training(undisturbed, tmp_path, monkeypatch):
    """A run that is resumed reads the trials of a stage once before it trains, and at the end of a stage again."""
    campaign, *_ = undisturbed
    with pytest.raises(Interrupted):
        run(campaign, tmp_path / "s.db", stop=stop_at(5))
    reads, read = [], Storage.trials_of
    monkeypatch.setattr(Storage, "trials_of", lambda *asked: reads.append(asked) or read(*asked))
    with pytest.raises(Interrupted):
        run(campaign, tmp_path / "s.db", stop=stop_at(1))
    assert len(reads) == 1


def test_no_trial_is_read_to_see_that_the_final_training_is_left(undisturbed, tmp_path, monkeypatch):
    """A run whose stages have ended, without the final training, reads the trials only once it has its data."""
    campaign, path, _ = undisturbed
    shutil.copy(path, tmp_path / "s.db")
    forget_seal(tmp_path / "s.db")
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection, connection:
        connection.execute("DELETE FROM study_user_attributes WHERE key = 'final'")

    def stop(*_):
        raise Interrupted("here")

    reads = []
    monkeypatch.setattr(Storage, "trials_of", lambda *asked: reads.append(asked) or ())
    monkeypatch.setattr("coarsefine.search.engine.run.load_workload", stop)
    with pytest.raises(Interrupted):
        run(campaign, tmp_path / "s.db")
    assert reads == []


def test_no_more_workers_start_than_trials_are_left(undisturbed, tmp_path, monkeypatch):
    """As many worker processes start as a stage has trials left at most, and the run says so."""
    campaign, _, status = undisturbed
    messages, started = [], []
    most = max(stage.trials for stage in status.stages)

    class RecordingObserver(Observer):
        def on_message(self, sentence):
            messages.append(sentence)

    class NoWorkersError(Exception):
        pass

    def start(task, *_):
        started.append(task.workers)
        raise NoWorkersError

    monkeypatch.setattr("coarsefine.search.engine.run.WorkerPool", start)
    for workers in (64, most):
        with pytest.raises(NoWorkersError):
            run(campaign, tmp_path / "s.db", workers=workers, observer=RecordingObserver())
    assert started == [most, most]
    assert messages == [f"{most} worker processes start instead of 64: no stage has more trials left."]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 4}, "else: seed was 3, now 4"),
        ({"final": {"epochs": 9}}, r"else: \[final\] epochs was 4, now 9"),
        ({"model": {"hidden": 11}}, r"else: \[model\] hidden was 10, now 11"),
    ],
)
def test_changed_campaign_is_refused_with_the_difference(undisturbed, change, message):
    """A changed campaign is refused with a message that names the difference and the remedy; nothing changes."""
    campaign, path, _ = undisturbed
    before = path.read_bytes()
    update = {k: getattr(campaign, k).model_copy(update=v) if isinstance(v, dict) else v for k, v in change.items()}
    with pytest.raises(CampaignError, match=message) as error:
        run(campaign.model_copy(update=update), path)
    assert "another name" in str(error.value)
    assert path.read_bytes() == before


def test_other_data_is_refused(small, tmp_path, monkeypatch):
    """A campaign is not resumed with other images."""
    loading = sys.modules["coarsefine.search.training.workload"]
    with pytest.raises(Interrupted):
        run(small, tmp_path / "s.db", stop=stop_at(3))
    real = loading.load_images
    monkeypatch.setattr(loading, "load_images", lambda *args: dataclasses.replace(real(*args), digest="0" * 64))
    with pytest.raises(CampaignError, match=r"data\.digest was"):
        run(small, tmp_path / "s.db")


def test_campaign_where_everything_diverges_ends_with_exit_3(small, tmp_path):
    """If no trial completes, the run ends with exit 3; each trial keeps the reason of its divergence."""
    first = small.stage[0].model_copy(update={"eta": LogUniform(1e5, 1e6), "lam": LogUniform(1e-3, 1e-2)})
    with pytest.raises(NothingCompleted, match="9 diverged") as error:
        run(small.model_copy(update={"stage": [first, small.stage[1]]}), tmp_path / "s.db")
    assert error.value.exit_code == 3
    for state, *_, attrs in table(tmp_path / "s.db").values():
        assert state is TrialState.FAIL
        assert attrs["reason"].startswith("diverged in epoch 1: training loss")


@pytest.mark.parametrize("name", ["digits", "paper", "cifar10"])
def test_campaign_is_restored_from_its_study(name):
    """The campaign that a study stores is complete: a machine without the campaign's file can resume it."""
    campaign = Campaign.load(name)
    again = Campaign.model_validate(json.loads(json.dumps(campaign.as_stored())))
    assert again.as_stored() == campaign.as_stored()


def test_two_campaigns_share_a_storage(undisturbed, tmp_path):
    """Two campaigns can share a file; `status` then lists both."""
    campaign, path, _ = undisturbed
    shared = tmp_path / "studies.db"
    shared.write_bytes(path.read_bytes())
    run(campaign.model_copy(update={"name": "other", "seed": 8}), shared)
    assert len(table(shared)) == 30
    answer = coarsefine("status", cwd=tmp_path)
    assert answer.returncode == 0
    assert [line.split()[0] for line in answer.stdout.splitlines()[2:4]] == ["small", "other"]


def test_foreign_study_of_the_same_name_is_refused(small, tmp_path):
    """A study of the stage's name that Coarsefine did not create is refused and left unchanged."""
    storage = f"sqlite:///{tmp_path / 's.db'}"
    optuna.create_study(study_name="small/coarse", storage=storage).add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(CampaignError, match="not made by Coarsefine"):
        run(small, tmp_path / "s.db")
    assert len(optuna.load_study(study_name="small/coarse", storage=storage).trials) == 1


def test_json_output_has_the_documented_keys(undisturbed):
    """`run --json`, `status --json` and `best --json` print one object with the documented keys."""
    _, path, status = undisturbed
    for command in (("run", "small.toml"), ("status",), ("status", "small")):
        record = json.loads(coarsefine(*command, "--json", cwd=path.parent).stdout)
        assert record == json.loads(json.dumps(status.as_dict()))
    assert set(record) == {
        "campaign",
        "storage",
        "state",
        "seconds",
        "stages",
        "winner",
        "confirm",
        "final",
        "trainings",
    }
    stage = record["stages"][1]
    expected = "name study trials completed pruned diverged failed waiting running space parent best"
    assert set(stage) == set(expected.split())
    assert set(stage["space"]) == {"eta", "lambda"}
    assert set(stage["best"][0]) == {"number", "params", "value", "seed"}
    assert set(record["winner"]) >= {"stage", "number", "params", "value"}
    finals = "epochs train_accuracy validation_accuracy test_accuracy seconds"
    assert set(record["final"]) >= set(finals.split())
    best = json.loads(coarsefine("best", "small", "--json", cwd=path.parent).stdout)
    assert best["winner"] == record["winner"]


def test_status_of_an_interrupted_campaign(small, tmp_path):
    """`status` counts the trials that are left, and shows stages that are not open yet without a space."""
    with pytest.raises(Interrupted):
        run(small, tmp_path / "studies.db", stop=stop_at(3))
    record = json.loads(coarsefine("status", "--json", cwd=tmp_path).stdout)
    assert record["state"] == "interrupted"
    assert [(s["waiting"], s["running"], s["completed"]) for s in record["stages"]] == [(9, 0, 0), (6, 0, 0)]
    assert record["stages"][1]["space"] is None
    assert record["winner"] is record["final"] is None


def test_next_command_of_status_resumes_the_campaign(small, tmp_path):
    """`status` of an unfinished campaign shows the best trial so far; its next command resumes without the file."""
    with pytest.raises(Interrupted):
        run(small, tmp_path / "studies.db", stop=stop_at(8))
    (tmp_path / "small.toml").unlink()
    unfinished = coarsefine("status", cwd=tmp_path).stdout
    assert "Best so far: trial" in unfinished
    assert "Winner" not in unfinished
    (command,) = re.findall(r"^Next: .*coarsefine (run small)$", unfinished, re.MULTILINE)
    answer = coarsefine(*command.split(), "--workers", 1, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "Winner: trial" in answer.stdout


def test_file_has_the_journal_mode_that_is_safe(undisturbed):
    """The file has the journal mode that is safe with this SQLite library."""
    _, path, _ = undisturbed
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == journal_mode()
    connection.close()
    assert journal_mode((3, 40, 1)) == journal_mode((3, 51, 2)) == "delete"
    assert journal_mode((3, 51, 3)) == journal_mode((3, 50, 7)) == journal_mode((3, 44, 6)) == "wal"
