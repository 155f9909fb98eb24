"""Any setting of the network searched: trials of several shapes, each with the same bits however they are stacked."""

import html
import json
import re
import tomllib

import pytest
from campaigns import write_campaign
from commands import coarsefine
from processes import finish, kill_again_and_again
from serving import serving
from stored import table

from coarsefine import Campaign, Interrupted, run
from coarsefine.model import TrainingSettings
from coarsefine.model.datasets import load_digits
from coarsefine.search.campaign.labels import point_text
from coarsefine.search.campaign.space import Point
from coarsefine.search.report.writer import write_report
from coarsefine.search.results.status import read_status
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage
from coarsefine.search.storage.slots import Slot
from coarsefine.search.training.objective import NetworkObjective


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """A folder in which one worker searched the campaign undisturbed."""
    folder = write_campaign(tmp_path_factory.mktemp("wide"), "wide")
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    return folder


@pytest.fixture(scope="module")
def expected(calm):
    return table(calm / "studies.db")


def test_every_setting_is_searched_in_its_range(expected):
    """Points have the searched settings, in order and of their types, each of its range; later stages lie within."""
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
def test_stack_width_changes_no_bit(expected, tmp_path, width):
    """One at a time or all of a shape at once, trials of every shape have the same values, and the same end early."""
    campaign = Campaign.load(write_campaign(tmp_path, "wide") / "small.toml")
    stages = [stage.model_copy(update={"stack": width}) for stage in campaign.stage]
    run(campaign.model_copy(update={"stage": stages}), tmp_path / "other.db")
    assert table(tmp_path / "other.db") == expected


def test_number_of_workers_changes_no_bit(expected, tmp_path):
    """Three workers train the trials that one trains, with the same values at every epoch."""
    answer = coarsefine("run", "small.toml", "--workers", 3, cwd=write_campaign(tmp_path, "wide"))
    assert answer.returncode == 0, answer.stderr
    assert table(tmp_path / "studies.db") == expected


def test_kills_change_no_bit(expected, tmp_path):
    """Two runs at once, both killed again and again, end with the same trials and values."""
    folder = write_campaign(tmp_path, "wide")
    assert kill_again_and_again(folder, processes=2, kills=3) >= 2
    finish(folder)
    assert table(folder / "studies.db") == expected


def test_stopped_and_resumed_changes_no_bit(expected, tmp_path):
    """Stopped amid stacks of several shapes, a run resumes to the same trials and values."""
    campaign, asked = Campaign.load(write_campaign(tmp_path, "wide") / "small.toml"), iter(range(11))
    with pytest.raises(Interrupted):
        run(campaign, tmp_path / "s.db", stop=lambda: next(asked, None) is None)
    run(campaign, tmp_path / "s.db")
    assert table(tmp_path / "s.db") == expected


def test_searched_setting_trains_as_a_fixed_one():
    """A trial with a searched shape, momentum and decay reports what one reports to which [model] gives them."""
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


def test_finalists_of_several_shapes_are_confirmed_and_trained(calm, cli, monkeypatch):
    """Finalists, export and final training of a searched shape: its own hidden units, batch, momentum and λ."""
    monkeypatch.chdir(calm)
    _, out, _ = cli("status", "small", "--json")
    told = json.loads(out)
    winner = told["winner"]["params"]
    assert list(winner) == ["eta", "rho", "hidden", "batch"]
    assert [list(finalist["params"]) for finalist in told["confirm"]["finalists"]] == [list(winner)] * 3
    assert told["stages"][0]["space"] == {
        "eta": [0.01, 1.0], "rho": {"uniform": [0.5, 0.95]}, "hidden": {"integer": [10, 30], "step": 10},
        "batch": {"choice": [20, 50]},
    }  # fmt: skip
    cli("export", "small", "--output", "winner.json")
    export = json.loads((calm / "winner.json").read_text("utf-8"))
    settings = {name: export["settings"][name] for name in ("eta", "lambda", "rho", "decay", "hidden", "batch")}
    assert settings == {"lambda": 1e-4, "decay": 0.95, **winner}
    assert export["trial"]["params"] == winner
    assert told["final"]["reproduction"]["exact"]


def test_terminal_tells_every_setting(calm, cli, monkeypatch):
    """`best` and `status` name each searched setting in ranges, tables and winner, and none that is not searched."""
    monkeypatch.chdir(calm)
    for command in ("best", "status"):
        _, out, _ = cli(command, "small")
        assert "η 0.01 to 1, ρ 0.5 to 0.95, hidden 10 to 30 by 10, batch one of 20, 50" in out
        assert " trial   η" in out
        assert "λ" not in out
        assert all(len(line) == len(line.rstrip("…")) for line in out.splitlines())


def test_report_tells_every_setting(calm):
    """The report names each searched setting in its words, tables and figures, and the file to make it again."""
    storage = open_storage(locate(calm / "studies.db"))
    write_report(storage, "small", calm / "report.html")
    status = read_status(storage, "small")
    storage.close()
    page = (calm / "report.html").read_text("utf-8")
    assert "the learning rate η, the momentum ρ, the number of hidden units and the size of the mini-batches" in page
    assert "log-uniform η, uniform ρ, integer hidden, choice batch" in page
    assert point_text(status.winner.point) in page
    told = html.unescape(re.search(r"<summary>The settings</summary><pre><code>(.*?)</code></pre>", page, re.DOTALL)[1])
    again = Campaign.model_validate(tomllib.loads(told))
    assert again.as_stored() == Campaign.load(calm / "small.toml").as_stored()


def test_server_tells_every_setting(calm):
    """The API gives spaces in their own forms, points, and a map in the axes that were asked for; no other axis."""
    with serving(calm / "studies.db") as client:
        told = client.get("/api/v1/campaigns/small").json()
        assert [one["symbol"] for one in told["searched"]] == ["η", "ρ", "hidden", "batch"]
        assert [axis["name"] for axis in told["axes"]] == ["eta", "rho", "hidden", "batch"]
        assert told["stages"][0]["space"]["rho"] == {"uniform": [0.5, 0.95]}
        assert told["problems"] == []
        rows = client.get("/api/v1/campaigns/small/stages/coarse/trials").json()["trials"]
        assert [list(row["params"]) for row in rows] == [["eta", "rho", "hidden", "batch"]] * 16
        figure = "/api/v1/campaigns/small/figures/map"
        chosen = client.get(figure, params={"axis": ["hidden", "rho"]}).json()["layout"]
        assert (chosen["xaxis"]["title"]["text"], chosen["yaxis"]["title"]["text"]) == ("hidden units", "ρ, momentum")
        refused = client.get(figure, params={"axis": "lambda"})
        assert (refused.status_code, refused.json()["detail"]) == (
            404, "The map has no axis 'lambda': it has eta, rho, hidden, batch."
        )  # fmt: skip
