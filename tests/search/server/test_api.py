"""The HTTP API, the pages and optuna-dashboard on the same server."""

import json
import re
from contextlib import closing

import optuna
import optuna_dashboard
import pytest
from optuna.trial import TrialState
from serving import serving
from typer.testing import CliRunner

from coarsefine.search.charts import map_of_trials
from coarsefine.search.cli import app
from coarsefine.search.results.campaign_studies import read_studies
from coarsefine.search.results.commands import storage_option_elsewhere
from coarsefine.search.results.outcome import find_winner
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage

API = "/api/v1/campaigns"


def command_output(command, folder):
    """Return the JSON that a command prints about the small campaign."""
    result = CliRunner().invoke(app, [command, "small", "--json", "--storage", str(folder / "studies.db")])
    assert result.exit_code == 0
    return json.loads(result.stdout)


def load(searched, stage):
    """Return the study of a stage as Optuna reads it."""
    return optuna.load_study(study_name=f"small/{stage}", storage=f"sqlite:///{searched}/studies.db")


def test_campaign_has_the_fields_of_status(client, searched):
    """The response has every field of `coarsefine status --json` except the storage."""
    expected = command_output("status", searched)
    response = client.get(f"{API}/small").json()
    del expected["storage"]
    stages = expected.pop("stages")
    assert {key: response[key] for key in expected} == expected
    assert [{key: stage[key] for key in stages[0]} for stage in response["stages"]] == stages
    assert "storage" not in response


def test_campaign_has_additional_fields(client, searched):
    """The response adds lineage, epochs, data, the time left, and links to optuna-dashboard."""
    response = client.get(f"{API}/small").json()
    coarse, fine = response["stages"]
    assert response["validation_images"] == 300
    assert response["data"].startswith("digits, 1,197/300/300 images")
    assert (coarse["narrowed_from"], fine["narrowed_from"]) == (None, [trial["number"] for trial in coarse["best"]])
    assert [pair["from"] for pair in fine["carried"]] == [trial["number"] for trial in coarse["best"][:2]]
    assert fine["epochs"] == 3
    assert fine["epochs_recorded"] == sum(len(t.intermediate_values) for t in load(searched, "fine").trials)
    assert fine["seconds_left"] == 0.0
    assert fine["dashboard"] == f"/dashboard/studies/{load(searched, 'fine')._study_id}"


def test_best_equals_the_command(client, searched):
    """`/best` returns what `coarsefine best --json` prints."""
    assert client.get(f"{API}/small/best").json() == command_output("best", searched)


def test_list_summarizes_campaigns(client):
    """The list has the name and state of each campaign, and the trials of its stages."""
    (small,) = client.get(API).json()["campaigns"]
    assert (small["campaign"], small["state"]) == ("small", "done")
    assert [(stage["name"], stage["trials"]) for stage in small["stages"]] == [("coarse", 9), ("fine", 6)]


def test_trials_are_paginated(client, searched):
    """The pages together have all trials of a stage in order; a page past the end is empty."""
    pages = [
        client.get(f"{API}/small/stages/coarse/trials", params={"offset": offset, "limit": 4}).json()
        for offset in (0, 4, 8)
    ]
    rows = [row for page in pages for row in page["trials"]]
    assert [page["total"] for page in pages] == [9, 9, 9]
    assert [row["number"] for row in rows] == list(range(9))
    for row, trial in zip(rows, load(searched, "coarse").trials, strict=True):
        assert (row["state"], row["params"]) == (trial.state.name, trial.params)
        assert (row["value"], row["seed"]) == (trial.value, trial.user_attrs["seed"])
    assert client.get(f"{API}/small/stages/coarse/trials", params={"offset": 9}).json()["trials"] == []


def test_diverged_trials_have_a_reason(client):
    """Each failed trial has a reason that says that it diverged."""
    rows = client.get(f"{API}/small/stages/coarse/trials").json()["trials"]
    failed = [row for row in rows if row["state"] == "FAIL"]
    assert failed
    assert all("diverged" in row["reason"] for row in failed)


def test_trials_can_be_ordered_by_value(client):
    """Ordered by value, completed trials come first, the best before the others; the rest follows by number."""
    rows = client.get(f"{API}/small/stages/coarse/trials", params={"order": "best"}).json()["trials"]
    values = [row["value"] for row in rows if row["state"] == "COMPLETE"]
    assert values == sorted(values, reverse=True)
    assert [row["state"] for row in rows[: len(values)]] == ["COMPLETE"] * len(values)
    assert [row["number"] for row in rows[len(values) :]] == sorted(row["number"] for row in rows[len(values) :])


def test_trial_has_every_epoch(client, searched):
    """The response for a trial has its accuracy and losses after each epoch, as Optuna stores them."""
    for trial in load(searched, "coarse").trials:
        response = client.get(f"{API}/small/stages/coarse/trials/{trial.number}").json()
        assert response["values"] == list(trial.intermediate_values.values())
        assert response["train_loss"] == trial.user_attrs["train_loss"]
        assert response["validation_loss"] == trial.user_attrs["validation_loss"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("figure", ["map", "best-so-far", "losses"])
def test_figures_are_drawn_in_the_theme(client, figure, theme):
    """Each figure has points, and its font colour depends on the theme."""
    drawn = client.get(f"{API}/small/figures/{figure}", params={"theme": theme}).json()
    other = client.get(
        f"{API}/small/figures/{figure}", params={"theme": "dark" if theme == "light" else "light"}
    ).json()
    assert any(len(trace["x"]) > 0 for trace in drawn["data"])
    assert drawn["layout"]["font"]["color"] != other["layout"]["font"]["color"]


def test_map_has_every_finished_trial(client):
    """The map has one point for each finished trial of both stages."""
    traces = client.get(f"{API}/small/figures/map").json()["data"]
    points = [tuple(point[:2]) for trace in traces for point in trace.get("customdata", [])]
    assert sorted(points) == sorted([("small/coarse", n) for n in range(9)] + [("small/fine", n) for n in range(6)])


def test_losses_show_the_chosen_trials(client):
    """The losses of the given trials are drawn, or those of each stage's three best trials."""
    chosen = [("study", "small/fine"), ("number", 4), ("study", "small/coarse"), ("number", 0)]
    names = {trace["name"] for trace in client.get(f"{API}/small/figures/losses", params=chosen).json()["data"]}
    assert names == {"fine 4", "coarse 0"}
    assert len({t["name"] for t in client.get(f"{API}/small/figures/losses").json()["data"]}) == 6


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "nothing/best",
        "nothing/events",
        "nothing/figures/map",
        "small/stages/nothing/trials",
        "small/stages/coarse/trials/9",
        "small/figures/losses?study=small/coarse&number=99",
        "small/figures/losses?study=other/coarse&number=1",
        "small/figures/losses?number=1",
        "%2e%2e",
        "small%2Fcoarse",
    ],
)
def test_missing_resource_is_a_404_with_a_reason(client, path):
    """A campaign, stage or trial that does not exist is a 404 with a detail."""
    response = client.get(f"{API}/{path}")
    assert response.status_code == 404
    assert response.json()["detail"]


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/campaigns/nothing", 404, "There is no campaign &#39;nothing&#39;."),
        ("/nothing", 404, "There is no such page."),
        ("/campaigns/small/x", 404, "There is no such page."),
        ("/logout", 405, "Method Not Allowed"),
    ],
)
def test_missing_page_is_a_page_for_browsers(client, path, status, sentence):
    """What is missing is a readable page with a link in a browser, and JSON for programs."""
    page = client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert sentence in page.text
    assert 'href="/campaigns"' in page.text
    other = client.get(path)
    assert (other.status_code, [*other.json()]) == (status, ["detail"])


def test_refused_host_is_a_page_for_browsers(client):
    """A browser that uses another name reads a sentence."""
    page = client.get("/", headers={"Host": "evil.example", "Accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (421, "text/html; charset=utf-8")
    assert "--allowed-host" in page.text


PATHS = (
    "/", "/campaigns", "/campaigns/small", "/campaigns/nothing", "/assets/page.css", f"{API}/small",
    f"{API}/small/events", "/login", "/nothing", "/dashboard", "/api/studies",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_head_is_answered_like_get(client, path):
    """HEAD has the status and headers of GET and no body, for an endless stream, too."""
    head = client.head(path)
    with client.stream("GET", path) as get:
        pass
    assert (head.status_code, head.content) == (get.status_code, b"")
    for name in ("content-type", "content-length", "location", "etag"):
        assert head.headers.get(name) == get.headers.get(name), name


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/campaigns", "GET, HEAD"),
        ("DELETE", f"{API}/small", "GET, HEAD"),
        ("OPTIONS", f"{API}/small", "GET, HEAD"),
        ("PUT", "/login", "GET, HEAD, POST"),
        ("GET", "/logout", "POST"),
    ],
)
def test_wrong_method_is_a_405_that_names_the_right_ones(client, method, path, allowed):
    """A method that a path does not have is refused with the methods that it has."""
    response = client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)


def test_unchanged_response_is_not_sent_again(client):
    """A request with the last response's ETag gets an empty 304."""
    first = client.get(f"{API}/small/figures/map")
    again = client.get(f"{API}/small/figures/map", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_root_redirects_to_the_only_campaign(client):
    """`/` redirects to the page of the only campaign."""
    response = client.get("/", follow_redirects=True)
    assert (response.url.path, response.status_code) == ("/campaigns/small", 200)
    assert "small" in response.text


def test_assets_of_pages_exist(client):
    """Every script, style and image that a page names is served with its content type."""
    for page in ("/campaigns", "/campaigns/small"):
        assets = re.findall(r'(?:src|href)="(/assets/[^"]+)"', client.get(page).text)
        assert len(assets) >= 3
        for file in assets:
            response = client.get(file)
            assert response.status_code == 200
            assert response.headers["content-type"].split("/")[0] in {"text", "image"}


@pytest.mark.parametrize("file", ["campaign.html", "..%2fapp.py", "%2e%2e/app.py", "nothing.js", "%00.js"])
def test_other_files_are_not_served(client, file):
    """Templates, sources and files elsewhere are not served as assets."""
    assert client.get(f"/assets/{file}").status_code == 404


def test_optuna_dashboard_shows_each_stage(client, searched):
    """optuna-dashboard lists the stages in order and shows the trials and note of each."""
    stages = client.get(f"{API}/small").json()["stages"]
    listed = client.get("/api/studies").json()["study_summaries"]
    assert [study["study_name"] for study in listed] == [stage["study"] for stage in stages]
    for stage in stages:
        assert client.get(stage["dashboard"]).status_code == 200
        detail = client.get(f"/api/studies/{stage['study_id']}").json()
        assert [t["number"] for t in detail["trials"]] == list(range(stage["trials"]))
        assert detail["objective_names"] == ["validation accuracy"]
        assert detail["note"]["body"] == optuna_dashboard.get_note(load(searched, stage["name"]))


def test_note_describes_the_stage(searched):
    """The note has the stage's ranges, parent, rule and data, and links to its campaign."""
    coarse, fine = (optuna_dashboard.get_note(load(searched, stage)) for stage in ("coarse", "fine"))
    assert "Stage 1 of 2" in coarse
    assert "η 0.01 to 1e+05, λ 1e-06 to 0.01" in coarse
    for part in (
        "Stage 2 of 2",
        "(/campaigns/small)",
        "[small/coarse](/dashboard/studies/1)",
        "box of the 3 best",
        "digits, 1,197",
    ):
        assert part in fine


def test_optuna_dashboard_reads_trials_as_optuna_does(client, searched):
    """The dashboard's storage returns the same trials as Optuna's own storage."""
    shared = client.app.storage
    for study in shared.get_all_studies():
        expected = optuna.load_study(study_name=study.study_name, storage=f"sqlite:///{searched}/studies.db").trials
        assert shared.get_all_trials(study._study_id) == expected
        completed = shared.get_all_trials(study._study_id, states=(TrialState.COMPLETE,))
        assert completed == [trial for trial in expected if trial.state is TrialState.COMPLETE]
    with pytest.raises(KeyError):
        shared.get_all_trials(99)


def test_commands_of_the_page_name_the_storage(client, copied):
    """The page's commands have the option that leads to the storage, and no database's address."""
    assert 'data-storage=""' in client.get("/campaigns/small").text
    other = copied.rename(copied.with_name("other studies.db"))
    with serving(other) as elsewhere:
        page = elsewhere.get("/campaigns/small").text
    assert 'data-storage=" --storage &#39;other studies.db&#39;"' in page
    assert storage_option_elsewhere(locate("postgresql://someone@host/search"), "URL") == " --storage URL"


def test_map_names_no_winner_before_the_end(client, searched):
    """The ring around the best trial is the winner's only once the search has ended."""
    assert client.get("/api/v1/campaigns/small/figures/map").json()["data"][-1]["name"] == "winner"
    with closing(open_storage(locate(searched / "studies.db"))) as storage:
        _, studies = read_studies(storage, "small")
        winner = find_winner(studies, None)
    assert map_of_trials([*studies.values()], winner, is_decided=False).data[-1].name == "best so far"
