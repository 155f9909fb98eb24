"""Test the search over any of the network's settings: trials of several shapes record the same values in any stack."""

import html
import json
import re
import tomllib

import pytest
from campaigns import write_campaign
from commands import coarsefine
from processes import finish, kill_repeatedly
from serving import serving
from stored import table

from coarsefine import Campaign, Interrupted, run
from coarsefine.model import TrainingSettings
from coarsefine.model.datasets import load_digits
from coarsefine.search.campaign.labels import point_text
from coarsefine.search.campaign.space import Point
from coarsefine.search.report.writer import write_report
from coarsefine.search.results.status_reading import read_status
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.objective import NetworkObjective


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return the folder of a campaign that one worker searched undisturbed."""
    folder = write_campaign(tmp_path_factory.mktemp("wide"), "wide")
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    return folder


@pytest.fixture(scope="module")
def expected(undisturbed):
    return table(undisturbed / "studies.db")


def test_every_setting_is_searched_in_its_range(expected):
    """Points have the searched settings in order, with their types and within their ranges and the parent's."""
    for _, params, *_ in expected.values():
        assert list(params) == ["eta", "rho", "hidden", "batch"]
        assert 0.01 <= params["eta"] <= 1
        assert 0.5 <= params["rho"] <= 0.95
        assert params["hidden"] in {10, 20, 30}
        assert params["batch"] in {20, 50}
        assert [type(value) for value in params.values()] == [float, float, int, int]
    coarse = [params for (study, _), (_, params, *_) in expected.items() if study == "small/coarse"]
    assert len({(params["hidden"], params["batch"]) for params in coarse}) == 6


@pytest.mark.parametrize("width", [1, 16])
def test_stack_width_changes_no_value(expected, tmp_path, width):
    """Trials of every shape have the same values and are pruned alike, whether they train alone or in stacks."""
    campaign = Campaign.load(write_campaign(tmp_path, "wide") / "small.toml")
    stages = [stage.model_copy(update={"stack": width}) for stage in campaign.stage]
    run(campaign.model_copy(update={"stage": stages}), tmp_path / "other.db")
    assert table(tmp_path / "other.db") == expected


def test_number_of_workers_changes_no_value(expected, tmp_path):
    """Three workers record the same values at every epoch as one worker."""
    answer = coarsefine("run", "small.toml", "--workers", 3, cwd=write_campaign(tmp_path, "wide"))
    assert answer.returncode == 0, answer.stderr
    assert table(tmp_path / "studies.db") == expected


def test_kills_change_no_value(expected, tmp_path):
    """Two concurrent runs, both of which are killed, record the same trials and values."""
    folder = write_campaign(tmp_path, "wide")
    assert kill_repeatedly(folder, processes=2, kills=2) >= 1
    finish(folder)
    assert table(folder / "studies.db") == expected


def test_stop_and_resume_change_no_value(expected, tmp_path):
    """A run that stops with stacks of several shapes resumes to the same trials and values."""
    campaign, asked = Campaign.load(write_campaign(tmp_path, "wide") / "small.toml"), iter(range(11))
    with pytest.raises(Interrupted):
        run(campaign, tmp_path / "s.db", stop=lambda: next(asked, None) is None)
    run(campaign, tmp_path / "s.db")
    assert table(tmp_path / "s.db") == expected


def test_searched_setting_trains_as_a_fixed_one():
    """A trial with searched shape, momentum and decay reports the same values as one with these in [model]."""
    data = load_digits(cache=None, say=lambda _: None)
    fixed = {"eta": 0.1, "lambda": 1e-4, "rho": 0.5, "decay": 0.7, "hidden": 12, "batch": 30}
    plain = NetworkObjective(TrainingSettings(hidden=12, batch=30, epochs=3), fixed, data)
    searched = NetworkObjective(TrainingSettings(epochs=3), {}, data)
    stacks = [
        plain.start([Slot(0, Point.of({"eta": 0.1}), 5)]),
        searched.start([Slot(0, Point.of(fixed), 5), Slot(1, Point.of({**fixed, "rho": 0.9}), 6)]),
    ]
    for _ in range(3):
        (one,), (other, _) = (stack.advance() for stack in stacks)
        assert one == other


def test_finalists_of_several_shapes_are_confirmed_and_trained(undisturbed, cli, monkeypatch):
    """Finalists, export and final training use the point's own hidden units, batch, momentum and λ."""
    monkeypatch.chdir(undisturbed)
    _, out, _ = cli("status", "small", "--json")
    record = json.loads(out)
    winner = record["winner"]["params"]
    assert list(winner) == ["eta", "rho", "hidden", "batch"]
    assert [list(finalist["params"]) for finalist in record["confirm"]["finalists"]] == [list(winner)] * 3
    assert record["stages"][0]["space"] == {
        "eta": [0.01, 1.0], "rho": {"uniform": [0.5, 0.95]}, "hidden": {"integer": [10, 30], "step": 10},
        "batch": {"choice": [20, 50]},
    }  # fmt: skip
    cli("export", "small", "--output", "winner.json")
    export = json.loads((undisturbed / "winner.json").read_text("utf-8"))
    settings = {name: export["settings"][name] for name in ("eta", "lambda", "rho", "decay", "hidden", "batch")}
    assert settings == {"lambda": 1e-4, "decay": 0.95, **winner}
    assert export["trial"]["params"] == winner
    assert record["final"]["reproduction"]["exact"]


def test_terminal_shows_every_searched_setting(undisturbed, cli, monkeypatch):
    """`best` and `status` show each searched setting in ranges, tables and winner, and no other setting."""
    monkeypatch.chdir(undisturbed)
    for command in ("best", "status"):
        _, out, _ = cli(command, "small")
        assert "η 0.01 to 1, ρ 0.5 to 0.95, hidden 10 to 30 by 10, batch one of 20, 50" in out
        assert re.search(r"^trial +η", out, re.MULTILINE)
        assert "λ" not in out
        assert all(len(line) == len(line.rstrip("…")) for line in out.splitlines())


def test_report_shows_every_searched_setting(undisturbed):
    """The report shows each searched setting in text, tables and figures, and a file that repeats the campaign."""
    storage = open_storage(locate(undisturbed / "studies.db"))
    write_report(storage, "small", undisturbed / "report.html")
    status = read_status(storage, "small")
    storage.close()
    page = (undisturbed / "report.html").read_text("utf-8")
    assert "the learning rate η, the momentum ρ, the number of hidden units and the size of the mini-batches" in page
    assert "log-uniform η, uniform ρ, integer hidden, choice batch" in page
    assert point_text(status.winner.point) in page
    settings = html.unescape(
        re.search(r"<summary>The settings</summary><pre><code>(.*?)</code></pre>", page, re.DOTALL)[1]
    )
    again = Campaign.model_validate(tomllib.loads(settings))
    assert again.as_stored() == Campaign.load(undisturbed / "small.toml").as_stored()


def test_server_returns_every_searched_setting(undisturbed):
    """The API returns spaces, points, and a map with the requested axes; it refuses unknown axes."""
    with serving(undisturbed / "studies.db") as client:
        record = client.get("/api/v1/campaigns/small").json()
        assert [one["symbol"] for one in record["searched"]] == ["η", "ρ", "hidden", "batch"]
        assert [axis["name"] for axis in record["axes"]] == ["eta", "rho", "hidden", "batch"]
        assert record["stages"][0]["space"]["rho"] == {"uniform": [0.5, 0.95]}
        assert record["problems"] == []
        rows = client.get("/api/v1/campaigns/small/stages/coarse/trials").json()["trials"]
        assert [list(row["params"]) for row in rows] == [["eta", "rho", "hidden", "batch"]] * 16
        figure = "/api/v1/campaigns/small/figures/map"
        chosen = client.get(figure, params={"axis": ["hidden", "rho"]}).json()["layout"]
        assert (chosen["xaxis"]["title"]["text"], chosen["yaxis"]["title"]["text"]) == ("hidden units", "ρ, momentum")
        refused = client.get(figure, params={"axis": "lambda"})
        assert (refused.status_code, refused.json()["detail"]) == (
            404, "The map has no axis 'lambda': it has eta, rho, hidden, batch."
        )  # fmt: skip
