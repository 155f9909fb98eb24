import json
import re

import optuna
import optuna_dashboard
import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

from coarsefine.search.cli import app

API = "/api/v1/campaigns"


def told(command, folder):
    """Return what the command line tells of the small campaign as JSON."""
    answer = CliRunner().invoke(app, [command, "small", "--json", "--storage", str(folder / "studies.db")])
    assert answer.exit_code == 0
    return json.loads(answer.stdout)


def load(searched, stage):
    """Return a stage's study as Optuna reads it."""
    return optuna.load_study(study_name=f"small/{stage}", storage=f"sqlite:///{searched}/studies.db")


def test_campaign_is_told_as_the_command_line_tells_it(client, searched):
    """All that `coarsefine status --json` tells stands in the answer under the same names, except the storage."""
    expected = told("status", searched)
    answer = client.get(f"{API}/small").json()
    del expected["storage"]
    stages = expected.pop("stages")
    assert {key: answer[key] for key in expected} == expected
    assert [{key: stage[key] for key in stages[0]} for stage in answer["stages"]] == stages
    assert "storage" not in answer


def test_campaign_tells_what_a_page_needs_beside(client, searched):
    """Lineage, epochs, data, time left, and where optuna-dashboard shows each stage."""
    answer = client.get(f"{API}/small").json()
    coarse, fine = answer["stages"]
    assert answer["validation_images"] == 300
    assert answer["data"].startswith("digits, 1,197/300/300 images")
    assert (coarse["narrowed_from"], fine["narrowed_from"]) == (None, [trial["number"] for trial in coarse["best"]])
    assert [pair["from"] for pair in fine["carried"]] == [trial["number"] for trial in coarse["best"][:2]]
    assert fine["epochs"] == 3
    assert fine["epochs_recorded"] == sum(len(t.intermediate_values) for t in load(searched, "fine").trials)
    assert fine["seconds_left"] == 0.0
    assert fine["dashboard"] == f"/dashboard/studies/{load(searched, 'fine')._study_id}"


def test_best_is_told_as_the_command_line_tells_it(client, searched):
    """`/best` answers what `coarsefine best --json` prints."""
    assert client.get(f"{API}/small/best").json() == told("best", searched)


def test_list_tells_each_campaign_in_short(client):
    """The list names state, seconds and the counts of every stage."""
    (small,) = client.get(API).json()["campaigns"]
    assert (small["campaign"], small["state"]) == ("small", "done")
    assert [(stage["name"], stage["trials"]) for stage in small["stages"]] == [("coarse", 9), ("fine", 6)]


def test_trials_come_in_pages(client, searched):
    """Pages put together are all of a stage's trials, in their order; past the end there are none."""
    pages = [
        client.get(f"{API}/small/stages/coarse/trials", params={"offset": at, "limit": 4}).json() for at in (0, 4, 8)
    ]
    rows = [row for page in pages for row in page["trials"]]
    assert [page["total"] for page in pages] == [9, 9, 9]
    assert [row["number"] for row in rows] == list(range(9))
    for row, trial in zip(rows, load(searched, "coarse").trials, strict=True):
        assert (row["state"], row["params"]) == (trial.state.name, trial.params)
        assert (row["value"], row["seed"]) == (trial.value, trial.user_attrs["seed"])
    assert client.get(f"{API}/small/stages/coarse/trials", params={"offset": 9}).json()["trials"] == []


def test_diverged_trials_carry_their_reason(client):
    """A row of a diverged trial says in which epoch, and how."""
    rows = client.get(f"{API}/small/stages/coarse/trials").json()["trials"]
    failed = [row for row in rows if row["state"] == "FAIL"]
    assert failed
    assert all("diverged" in row["reason"] for row in failed)


def test_trials_come_best_first_when_asked(client):
    """Ordered by value, completed trials come first, best first; then the others by number."""
    rows = client.get(f"{API}/small/stages/coarse/trials", params={"order": "best"}).json()["trials"]
    values = [row["value"] for row in rows if row["state"] == "COMPLETE"]
    assert values == sorted(values, reverse=True)
    assert [row["state"] for row in rows[: len(values)]] == ["COMPLETE"] * len(values)
    assert [row["number"] for row in rows[len(values) :]] == sorted(row["number"] for row in rows[len(values) :])


def test_trial_in_full_has_every_epoch(client, searched):
    """A trial's own answer has its accuracy and losses after each epoch, as Optuna has them."""
    for trial in load(searched, "coarse").trials:
        answer = client.get(f"{API}/small/stages/coarse/trials/{trial.number}").json()
        assert answer["values"] == list(trial.intermediate_values.values())
        assert answer["train_loss"] == trial.user_attrs["train_loss"]
        assert answer["validation_loss"] == trial.user_attrs["validation_loss"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("figure", ["map", "best-so-far", "losses"])
def test_figures_are_plotlys(client, figure, theme):
    """Each figure draws something, in the ink of its theme."""
    drawn = client.get(f"{API}/small/figures/{figure}", params={"theme": theme}).json()
    other = client.get(
        f"{API}/small/figures/{figure}", params={"theme": "dark" if theme == "light" else "light"}
    ).json()
    assert any(len(trace["x"]) > 0 for trace in drawn["data"])
    assert drawn["layout"]["font"]["color"] != other["layout"]["font"]["color"]


def test_map_has_every_ended_trial(client):
    """The points of the map lead to trials: each ended one of both stages is there once."""
    traces = client.get(f"{API}/small/figures/map").json()["data"]
    points = [tuple(point[:2]) for trace in traces for point in trace.get("customdata", [])]
    assert sorted(points) == sorted([("small/coarse", n) for n in range(9)] + [("small/fine", n) for n in range(6)])


def test_losses_are_of_the_chosen_trials(client):
    """Learning curves are drawn of the trials that are named, and of the three best of each stage otherwise."""
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
def test_what_is_not_there_is_told_in_a_sentence(client, path):
    """A campaign, stage or trial that is not there is a 404, whose detail is a sentence."""
    answer = client.get(f"{API}/{path}")
    assert answer.status_code == 404
    assert answer.json()["detail"]


def test_an_answer_that_is_known_is_not_sent_again(client):
    """With the tag of the last answer, the next is 304 and empty."""
    first = client.get(f"{API}/small/figures/map")
    again = client.get(f"{API}/small/figures/map", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_root_leads_to_the_only_campaign(client):
    """`/` leads to the page of the only campaign, which is HTML and names it."""
    answer = client.get("/", follow_redirects=True)
    assert (answer.url.path, answer.status_code) == ("/campaigns/small", 200)
    assert "small" in answer.text


def test_every_file_a_page_names_is_there(client):
    """Scripts, styles and pictures of all pages are served from here, with their kinds."""
    for page in ("/campaigns", "/campaigns/small"):
        named = re.findall(r'(?:src|href)="(/assets/[^"]+)"', client.get(page).text)
        assert len(named) >= 3
        for file in named:
            answer = client.get(file)
            assert answer.status_code == 200
            assert answer.headers["content-type"].split("/")[0] in {"text", "image"}


@pytest.mark.parametrize("file", ["campaign.html", "..%2fapp.py", "%2e%2e/app.py", "nothing.js", "%00.js"])
def test_no_other_file_is_served(client, file):
    """Templates, sources and what lies elsewhere are no assets."""
    assert client.get(f"/assets/{file}").status_code == 404


def test_optuna_dashboard_shows_each_stage(client, searched):
    """Under the path that a campaign names, optuna-dashboard answers, with the same trials, in the stages' order."""
    stages = client.get(f"{API}/small").json()["stages"]
    listed = client.get("/api/studies").json()["study_summaries"]
    assert [study["study_name"] for study in listed] == [stage["study"] for stage in stages]
    for stage in stages:
        assert client.get(stage["dashboard"]).status_code == 200
        detail = client.get(f"/api/studies/{stage['study_id']}").json()
        assert [t["number"] for t in detail["trials"]] == list(range(stage["trials"]))
        assert detail["objective_names"] == ["validation accuracy"]
        assert detail["note"]["body"] == optuna_dashboard.get_note(load(searched, stage["name"]))


def test_note_tells_a_stage_and_leads_to_its_campaign(searched):
    """optuna-dashboard's own reader of notes finds ranges, parent, rule, data and the way to the campaign's page."""
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
    """The storage that the dashboard is given hands out the very trials that Optuna's own would."""
    shared = client.app.storage
    for study in shared.get_all_studies():
        expected = optuna.load_study(study_name=study.study_name, storage=f"sqlite:///{searched}/studies.db").trials
        assert shared.get_all_trials(study._study_id) == expected
        completed = shared.get_all_trials(study._study_id, states=(TrialState.COMPLETE,))
        assert completed == [trial for trial in expected if trial.state is TrialState.COMPLETE]
    with pytest.raises(KeyError):
        shared.get_all_trials(99)
