"""The API and the figures of a campaign that searches a user's function."""

import re
from contextlib import contextmanager

import pytest
from campaigns import write_campaign
from serving import serving

from coarsefine import Campaign, run

API = "/api/v1/campaigns/small"


@contextmanager
def searched(folder, function, **changes):
    """Search a function that reports no epochs; yield a client of a server for it."""
    write_campaign(folder, "objective", objective=f"user_functions:{function}", epochs=None, **changes)
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    with serving(folder / "studies.db") as client:
        yield client


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Return a client of a campaign that maximizes a function's value."""
    with searched(tmp_path_factory.mktemp("function"), "at_once") as client:
        yield client


@pytest.fixture(scope="module")
def minimized(tmp_path_factory):
    """Return a client of a campaign that minimizes a function's value, which has a name."""
    with searched(tmp_path_factory.mktemp("minimized"), "loss", direction="minimize", metric="val_loss") as client:
        yield client


@pytest.mark.parametrize("figure", ["map", "best-so-far", "losses"])
def test_figures_show_values(client, figure):
    """No figure calls a function's values accuracies, or shows them in percent."""
    text = client.get(f"{API}/figures/{figure}").text
    assert "value" in text
    assert "accuracy" not in text
    assert not re.search(r"\d ?%|~%", text)


def test_dashboard_names_the_value(client):
    """optuna-dashboard calls what the function returns its value, for the stages and for the finalists."""
    for stage in client.get(API).json()["stages"]:
        assert client.get(f"/api/studies/{stage['study_id']}").json()["objective_names"] == ["value"]


def test_choice_can_be_an_axis(client):
    """The axes of the map are the number, the value and each choice; a choice has a tick for each option."""
    axes = client.get(API).json()["axes"]
    assert [axis["title"] for axis in axes] == ["a", "value", "shape"]
    drawn = client.get(f"{API}/figures/map", params={"axis": ["shape", "a"]}).json()
    assert drawn["layout"]["xaxis"]["ticktext"] == ["round", "square"]
    (completed,) = [trace for trace in drawn["data"] if trace.get("meta") == "completed"]
    assert len(completed["x"]) == 13
    assert {round(x) for x in completed["x"]} <= {0, 1}


@pytest.fixture(scope="module")
def talked(tmp_path_factory):
    """Search a function that prints and reports a further metric; return the folder and a client of a server."""
    folder = tmp_path_factory.mktemp("talked")
    write_campaign(folder, "objective", objective="user_functions:talks", max_failures=9, confirm=None)
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    with serving(folder / "studies.db") as client:
        yield folder, client


def failed_trial(client):
    rows = client.get(f"{API}/stages/coarse/trials").json()["trials"]
    return next(row["number"] for row in rows if row["state"] == "FAIL")


def test_log_is_served_without_secrets(talked):
    """The log of a trial is served as text in JSON, without the address of a database that the trial printed."""
    _, client = talked
    response = client.get(f"{API}/stages/coarse/trials/{failed_trial(client)}/log")
    assert response.headers["content-type"] == "application/json"
    log = response.json()
    assert log["lines"][1].startswith("epoch 1 at <b>")
    assert "Traceback (most recent call last):" in log["lines"]
    assert log["is_whole"]
    assert "secret" not in response.text
    assert "[database address withheld]" in response.text


def test_campaign_says_why_a_trial_failed(talked):
    """Each stage names a failed trial with its reason, and the campaign's time in training leaves out pauses."""
    _, client = talked
    status = client.get(API).json()
    coarse, fine = status["stages"]
    rows = client.get(f"{API}/stages/coarse/trials").json()["trials"]
    failed = {row["number"]: row["reason"] for row in rows if row["state"] == "FAIL"}
    assert failed[coarse["failure"]["number"]] == coarse["failure"]["reason"]
    assert (fine["failure"] is None) == (fine["failed"] == 0)
    assert 0 < status["seconds_in_training"] <= status["seconds"] + 0.001
    assert status["code_versions"] is None


def test_only_logs_are_served(talked):
    """A link in place of a log, a log that is not there and names that are no trials are a 404."""
    folder, client = talked
    number = failed_trial(client)
    log = folder / f"logs/small/trials/coarse-{number}.log"
    kept = log.rename(log.with_suffix(".kept"))
    log.symlink_to(folder / "small.toml")
    try:
        response = client.get(f"{API}/stages/coarse/trials/{number}/log")
    finally:
        kept.rename(log)
    assert response.status_code == 404
    assert response.json()["detail"].startswith(f"Trial {number} of coarse has printed nothing")
    for path in ("coarse/trials/99", "..%2F..%2Fsmall/trials/0", "coarse/trials/..%2F..%2F0"):
        assert client.get(f"{API}/stages/{path}/log").status_code in {404, 422}


def test_metrics_can_be_drawn(talked):
    """The campaign lists the further metrics, the rows of trials have them, and the learning curves show one."""
    _, client = talked
    assert client.get(API).json()["metrics"] == ["f1"]
    rows = client.get(f"{API}/stages/coarse/trials").json()["trials"]
    assert {row["metrics"]["f1"] for row in rows if row["state"] == "COMPLETE"} == {0.6}
    drawn = client.get(f"{API}/figures/losses", params={"metric": "f1"}).json()
    assert next(trace["y"] for trace in drawn["data"]) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert "f1" in str(drawn["layout"]["yaxis"]["title"])
    missing = client.get(f"{API}/figures/losses", params={"metric": "f2"})
    assert (missing.status_code, missing.json()["detail"]) == (404, "There is no metric 'f2': there is f1.")


def test_best_trials_have_the_lowest_values(minimized):
    """The API has name and direction of the metric; the best trials, the winner and the table's first are lowest."""
    status = minimized.get(API).json()
    metric = {"name": "val_loss", "title": "val_loss", "is_share": False, "direction": "minimize"}
    assert status["metric"] == minimized.get(f"{API}/best").json()["metric"] == metric
    for stage in status["stages"][:2]:
        page = minimized.get(f"{API}/stages/{stage['name']}/trials", params={"order": "best"}).json()
        values = [trial["value"] for trial in page["trials"]]
        assert values == sorted(values)
        assert [trial["value"] for trial in stage["best"]] == values[:3]
    best, second = (finalist["confirmed"]["mean"] for finalist in status["confirm"]["finalists"])
    assert best < second
    assert status["winner"]["confirmed"]["mean"] == best


@pytest.mark.parametrize("figure", ["map", "best-so-far", "losses"])
def test_figures_name_the_metric(minimized, figure):
    """Each figure is labelled with the metric's name."""
    assert "val_loss" in minimized.get(f"{API}/figures/{figure}").text


def test_dashboard_minimizes(minimized):
    """optuna-dashboard shows the direction and the metric's name of each study, and a note that says the same."""
    for stage in minimized.get(API).json()["stages"]:
        study = minimized.get(f"/api/studies/{stage['study_id']}").json()
        assert (study["directions"], study["objective_names"]) == (["minimize"], ["val_loss"])
    first = minimized.get(API).json()["stages"][0]["study_id"]
    assert "val_loss, of which the lowest is the best" in minimized.get(f"/api/studies/{first}").json()["note"]["body"]
