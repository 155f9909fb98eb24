"""`[final]` of a user's function: the winner is trained again on several seeds, as the last stage."""

import json

import pytest
from campaigns import campaign_toml, write_campaign
from serving import serving

import coarsefine
from coarsefine import Campaign, CampaignError, run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Run a campaign of a function with `[final]`; return its folder and its status."""
    folder = tmp_path_factory.mktemp("final")
    write_campaign(folder, "objective", final={"epochs": 6, "seeds": 3})
    return folder, run(Campaign.load(folder / "small.toml"), folder / "studies.db")


def test_winner_is_trained_on_each_seed(finished):
    """The last stage has a trial for each seed at the winner's point, the first with the winner's own seed."""
    _, status = finished
    final, winner = status.final_runs, status.winner
    assert status.state == "done"
    assert (final.study, final.number, final.point, final.epochs) == (winner.study, winner.number, winner.point, 6)
    assert [run.number for run in final.runs] == [0, 1, 2]
    assert final.runs[0].seed == winner.seed
    assert final.runs[0].value == winner.value
    assert len({run.seed for run in final.runs}) == 3
    assert final.mean.n == 3
    assert status.stages[-1].completed == 3


def test_same_runs_for_two_workers(finished, tmp_path):
    """Two workers give the same trainings as one, each of them once."""
    _, status = finished
    write_campaign(tmp_path, "objective", final={"epochs": 6, "seeds": 3})
    again = run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db", workers=2)
    assert again.final_runs == status.final_runs


def test_the_search_does_not_count_the_final_runs(finished, tmp_path):
    """The stages, the verdict and the winner are those of the same campaign without `[final]`."""
    _, status = finished
    write_campaign(tmp_path, "objective")
    without = run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    assert (without.winner, without.verdict) == (status.winner, status.verdict)
    assert without.final_runs is None
    assert "final_runs" not in without.as_dict()


def test_commands_show_the_final_runs(finished, cli):
    """`status` and `best` print the mean and each training; their JSON has them."""
    folder, status = finished
    for command in ("status", "best"):
        code, out, error = cli(command, "--storage", folder / "studies.db")
        assert code == 0, error
        assert f"Final training of trial {status.winner.number} of {status.winner.study}, 6 epochs: value" in out
        assert "over 3 seeds" in out
        assert [line.split()[0] for line in out.splitlines() if line.startswith("final#")] == [
            f"final#{n}" for n in range(3)
        ]
        _, out, _ = cli(command, "--json", "--storage", folder / "studies.db")
        assert json.loads(out)["final_runs"]["runs"][0]["seed"] == status.winner.seed


def test_server_shows_the_final_runs(finished):
    """The server takes the last stage for valid, says that it is the final one, and serves its values."""
    folder, status = finished
    with serving(folder / "studies.db") as client:
        served = client.get("/api/v1/campaigns/small").json()
        assert client.get("/api/v1/campaigns/small/figures/losses").status_code == 200
    assert served["problems"] == []
    assert [stage["is_final"] for stage in served["stages"]] == [False, False, False, True]
    assert served["final_runs"] == status.final_runs.as_dict()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"final": {"decay": 0.9}}, "decay and on_validation of [final] belong to the network, not to an objective"),
        ({"final": {"seeds": 2}, "stage": {"fine": {"name": "final"}}}, "a stage is named 'final'"),
    ],
)
def test_impossible_final_is_refused(tmp_path, changes, sentence):
    """Options of the network, and a stage of the same name, are refused."""
    (tmp_path / "small.toml").write_text(campaign_toml("objective", **changes), "utf-8")
    with pytest.raises(CampaignError, match=sentence.replace("[", r"\[")):
        Campaign.load(tmp_path / "small.toml")


def test_epochs_are_those_of_the_campaign_by_default(tmp_path):
    """Without `epochs`, `[final]` trains as many as the stages."""
    write_campaign(tmp_path, "objective", final={"seeds": 2})
    assert Campaign.load(tmp_path / "small.toml").final.epochs == 6


@pytest.fixture
def trained(tmp_path, cli):
    """Run a campaign of a function that keeps a file, with a longer `[final]`; export its winner; return the status."""
    final = {"epochs": 5, "seeds": 2}
    write_campaign(tmp_path, "objective", objective="user_functions:as_asked", epochs=3, confirm=None, final=final,
                   packages=["optuna"])  # fmt: skip
    status = run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    code, _, error = cli("export")
    assert code == 0, error
    return status


def test_final_runs_train_for_more_epochs(trained, tmp_path):
    """The function learns the epochs that are asked for; the final trainings have folders of their own."""
    assert [run.metrics for run in trained.final_runs.runs] == [{"f1": 0.5}] * 2
    kept = (tmp_path / "trials/small/final-1/model").read_text("utf-8")
    assert kept == f"{trained.winner.point['a']} {trained.final_runs.runs[1].seed} 5"


def test_export_has_the_final_runs_and_the_folders(trained, tmp_path):
    """The export has the point, the values and the final trainings, and copies of the folders are next to it."""
    export = coarsefine.read_export(tmp_path / "exports/small.json")
    winner = trained.winner
    assert (export.trial.study, export.trial.number, export.trial.value) == (winner.study, winner.number, winner.value)
    assert export.trial.metrics == {"f1": [0.1, 0.2, 0.3]}
    assert [run["value"] for run in export.runs] == [run.value for run in trained.final_runs.runs]
    assert list(export.folders) == [f"{winner.stage}#{winner.number}", "final#0", "final#1"]
    for name, folder in export.folders.items():
        original = tmp_path / "trials/small" / name.replace("#", "-") / "model"
        assert (tmp_path / "exports" / folder / "model").read_bytes() == original.read_bytes()
    with pytest.raises(coarsefine.UsageError, match="is of code of your own"):
        coarsefine.train(export)


def test_export_is_trained_again(trained, tmp_path, cli):
    """`train EXPORT` trains the trial as it was, and the final runs; a second time, it returns the same result."""
    code, out, error = cli("train", "exports/small.json")
    assert code == 0, error
    assert out.startswith(
        "The trial's values were reproduced to the bit.\n"
        f"Final training of trial {trained.winner.number} of {trained.winner.study}, "
    )
    (folder,) = (tmp_path / "trained").iterdir()
    result = json.loads((folder / "final.json").read_text("utf-8"))
    assert result["final_runs"]["runs"] == [run.as_dict() for run in trained.final_runs.runs]
    assert (folder / "trials/small/final-1/model").exists()
    assert cli("train", "exports/small.json")[:2] == (0, out)
    code, out, error = cli("train", "exports/small.json", "--epochs", 4, "--seeds", 1, "--json")
    assert code == 0, error
    assert [run["metrics"] for run in json.loads(out)["final_runs"]["runs"]] == [{"f1": 0.4}]


def test_export_of_changed_code_is_refused(tmp_path, cli, monkeypatch):
    """If the function has changed since the export, `train` shows how and says what to do, and writes nothing."""
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "altered.py"
    source.write_text("from user_functions import as_asked\n", "utf-8")
    write_campaign(tmp_path, "objective", objective="altered:as_asked", epochs=3, confirm=None)
    run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    assert cli("export")[0] == 0
    source.write_text("from user_functions import as_asked\n# changed\n", "utf-8")
    code, out, error = cli("train", "exports/small.json")
    assert (code, out) == (2, "")
    assert error.startswith(f"{source} has changed since the exported trial was trained:\n--- altered.py (before)\n")
    assert error.endswith(
        "+# changed\nTo train the export, restore the earlier file. To train with the present one, run the campaign "
        "under another name, and export its winner.\n"
    )
    assert not (tmp_path / "trained").exists()


@pytest.mark.usefixtures("trained")
def test_copies_do_not_replace_other_files(tmp_path, cli):
    """Another export to the same file replaces the copies; a folder that no export has written is left alone."""
    assert cli("export", "--trial", "coarse#0", "--output", "exports/small.json")[0] == 0
    assert [path.name for path in (tmp_path / "exports/small-files").iterdir()] == ["coarse-0"]
    (tmp_path / "exports/mine-files").mkdir()
    code, _, error = cli("export", "--output", "exports/mine.json")
    assert code == 2
    assert "mine-files was not written by an earlier export" in error


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("option", [("--decay", 0.9), ("--threads", 2), ("--on-validation",)])
def test_options_of_the_network_are_refused(cli, option):
    """Options that only a network has are refused for an export of user code."""
    code, _, error = cli("train", "exports/small.json", *option)
    assert code == 2
    assert "are for the network. Leave them out." in error
