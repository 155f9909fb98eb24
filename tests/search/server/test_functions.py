"""The API and the figures of a campaign that searches a user's function."""

import re

import pytest
from campaigns import write_campaign
from serving import serving

from coarsefine import Campaign, run

API = "/api/v1/campaigns/small"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Search a function that reports no epochs; return a client of a server for it."""
    folder = tmp_path_factory.mktemp("function")
    write_campaign(folder, "objective", objective="user_functions:at_once", epochs=None)
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    with serving(folder / "studies.db") as client:
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
