"""Test the presets as a user runs them: digits in full, CIFAR-10 with few trials."""

import json
import threading
import tomllib
import urllib.request
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
import optuna_dashboard
import pytest
import tomlkit
from commands import coarsefine

from coarsefine import Campaign
from coarsefine.search.campaign.presets import preset_text


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Return the folder of a finished `coarsefine run digits`, and the JSON that the run printed."""
    folder = tmp_path_factory.mktemp("digits")
    answer = coarsefine("run", "digits", "--json", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    return folder, json.loads(answer.stdout)


@pytest.mark.parametrize("name", ["digits", "paper", "cifar10"])
def test_preset_can_be_changed_as_a_dictionary(name):
    """What `model_dump(by_alias=True)` returns, with all defaults, is a campaign again."""
    campaign = Campaign.load(name)
    assert Campaign.model_validate(campaign.model_dump(by_alias=True)) == campaign


def test_digits_preset_trains_an_accurate_network(digits):
    """The preset trains exactly the planned trials and finalists, and its network reads 95 % of the test digits."""
    _, record = digits
    assert record["state"] == "done"
    trials = {"coarse": 40, "fine": 30, "second-fine": 30, "confirm": 36}
    assert {s["name"]: s["trials"] for s in record["stages"]} == trials
    assert all(s["completed"] + s["diverged"] == s["trials"] for s in record["stages"])
    assert record["final"]["test_accuracy"] >= 0.95
    parents = [s["parent"] for s in record["stages"]]
    assert parents == [None, "digits/coarse", "digits/fine", "digits/second-fine"]
    assert [len(f["values"]) for f in record["confirm"]["finalists"]] == [6] * 6
    assert record["winner"]["confirmed"]["n"] == 6


def test_run_prints_tables_and_the_next_commands(digits):
    """A second run prints each stage's three best trials, the winner, the accuracies and the next commands."""
    folder, record = digits
    answer = coarsefine("run", "digits", cwd=folder)
    assert answer.returncode == 0
    assert answer.stderr == ""
    for stage in record["stages"]:
        assert f"{stage['study']}: " in answer.stdout
        for trial in stage["best"]:
            assert f"{trial['params']['eta']:.4g}" in answer.stdout
    assert f"test {100 * record['final']['test_accuracy']:.2f} %" in answer.stdout
    assert "best digits" in answer.stdout
    assert " serve" in answer.stdout
    assert str(folder / "studies.db") in answer.stdout


def test_optuna_dashboard_opens_the_studies(digits):
    """optuna-dashboard lists the studies, and shows each one's trials with parameters and values per epoch."""
    folder, record = digits
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'studies.db'}")
    with served(optuna_dashboard.wsgi(storage)) as address:
        studies = fetch(f"{address}/api/studies")["study_summaries"]
        assert [s["study_name"] for s in studies] == [s["study"] for s in record["stages"]]
        detail = fetch(f"{address}/api/studies/{studies[0]['study_id']}?after=0")
        assert len(detail["trials"]) == 40
        assert {p["name"] for p in detail["trials"][0]["params"]} == {"eta", "lambda"}
        assert len(detail["trials"][0]["intermediate_values"]) == 15
    storage.remove_session()
    storage.engine.dispose()


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_):
        """Keep the tests' output clean."""


@contextmanager
def served(application):
    """Serve a WSGI application on this machine; yield its address."""
    with make_server("127.0.0.1", 0, application, handler_class=QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fetch(url):
    with urllib.request.urlopen(url, timeout=240) as answer:
        return json.load(answer)


def shortened(preset):
    """Return a preset with two trials of one epoch in each stage, two finalists on two seeds, and a small network."""
    campaign = tomllib.loads(preset_text(preset))
    campaign["model"]["hidden"] = 10
    for section in (campaign["model"], campaign["final"], *campaign["stage"]):
        if "epochs" in section:
            section["epochs"] = 1
    for stage in campaign["stage"]:
        stage["trials"] = 2
        stage.pop("rungs", None)
        if "carry" in stage:
            stage["carry"] = 1
        if "narrow" in stage:
            stage["narrow"]["top"] = 1
    if "confirm" in campaign:
        campaign["confirm"] |= {"top": 2, "seeds": 2, "epochs": 1}
    return campaign


@pytest.mark.parametrize(("preset", "images"), [("paper", "20,000/1,000/10,000"), ("cifar10", "16,000/5,000/10,000")])
def test_preset_runs_on_real_cifar10(cifar10_archive, tmp_path, preset, images):
    """With few trials of one epoch, the presets for CIFAR-10 train a network that beats chance."""
    (tmp_path / "short.toml").write_text(tomlkit.dumps(shortened(preset)), "utf-8")
    answer = coarsefine("run", "short.toml", "--data", cifar10_archive, "--json", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    record = json.loads(answer.stdout)
    expected = {"coarse": 2, "fine": 2, "second-fine": 2} | ({"confirm": 4} if record["confirm"] else {})
    assert {s["name"]: s["completed"] + s["pruned"] + s["diverged"] for s in record["stages"]} == expected
    assert record["final"]["test_accuracy"] > 0.25
    study = optuna.load_study(study_name=f"{preset}/coarse", storage=f"sqlite:///{tmp_path / 'studies.db'}")
    assert f"{images} images" in study.user_attrs["data"]["description"]


def test_paper_preset_is_the_papers_campaign():
    """The preset has the paper's trials, ranges, epochs, batch, decay, momentum, hidden units and data."""
    campaign = Campaign.load("paper")
    assert [(s.trials, campaign.bounds_of(s).as_dict()) for s in campaign.stage] == [
        (50, {"eta": [0.001, 0.3], "lambda": [1e-7, 0.1]}),
        (50, {"eta": [0.01, 0.06], "lambda": [1e-6, 0.01]}),
        (50, {"eta": [0.02, 0.04], "lambda": [1e-4, 0.01]}),
    ]
    model = campaign.model
    assert (model.hidden, model.batch, model.epochs, model.rho, model.decay) == (50, 100, 10, 0.9, 0.95)
    assert campaign.final.epochs == 30
    assert campaign.data.options == {
        "train": ["data_batch_1", "data_batch_3"], "validation": "data_batch_2", "validation_images": 1000,
        "test": "test_batch", "held_out": 0,
    }  # fmt: skip
