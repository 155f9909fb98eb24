"""The server with damaged, foreign or replaced records."""

import json
import re
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from serving import serving
from stored import forget_seal
from typer.testing import CliRunner

from coarsefine.search.cli import app as cli_app
from coarsefine.search.errors import StorageError
from coarsefine.search.results.campaign_studies import find_studies
from coarsefine.search.storage.location import locate, read_only
from coarsefine.search.storage.opening import open_storage

API = "/api/v1/campaigns"
SCRIPT = "<script>alert(1)</script>"


def execute(path, statement, *values):
    """Execute a statement in the file."""
    with closing(sqlite3.connect(path, timeout=240)) as connection, connection:
        connection.execute(statement, values)


def forget_marks(path):
    """Make the studies of a file like those of earlier versions, which do not mark how their slots ended."""
    forget_seal(path)
    execute(path, "DELETE FROM study_user_attributes WHERE key = 'slots'")


def set_attr(key, text):
    """Return the statement that sets the JSON text of an attribute of the coarse stage's study."""
    return f"UPDATE study_user_attributes SET value_json = '{text}' WHERE key = '{key}' AND study_id = 1"  # noqa: S608


def give_attr(key, text):
    """Return the statement that gives the coarse stage's study another attribute."""
    return f"INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (1, '{key}', '{text}')"  # noqa: S608


DAMAGES = {
    "invalid JSON": set_attr("space", "{"),
    "wrong type": set_attr("space", "[1, 2]"),
    "bounds not positive": set_attr("space", '{"eta": [-1, 1], "lambda": [0.1, 1]}'),
    "no stages": set_attr("config", '{"name": "small", "model": {"epochs": 3}, "stage": []}'),
    "another stage": set_attr("stage", '"fine"'),
    "another campaign": set_attr("campaign", '"other"'),
    "invalid campaign": set_attr("campaign", '{"a": []}'),
    "missing attribute": "DELETE FROM study_user_attributes WHERE study_id = 1 AND key = 'config'",
    "invalid final training": give_attr("final", "{}"),
    "null as final training": give_attr("final", "null"),
    "null as finalists": give_attr("finalists", "null"),
    "accepted changes are a number": give_attr("accepted", "5"),
    "accepted change is empty": give_attr("accepted_versions", "[{}]"),
    "retry is a number": give_attr("retried", "[5]"),
    "versions are a number": set_attr("versions", "5"),
    "space is a number": set_attr(
        "config", '{"name": "small", "model": {"epochs": 3}, "stage": [{"name": "coarse", "trials": 9, "space": 5}]}'
    ),
    "nested without end": set_attr("config", "[" * 100_000),
    "not a number": set_attr("config", '{"name": NaN}'),
}
WRITTEN_LATER = {
    "invalid final training", "null as final training", "null as finalists", "accepted change is empty",
    "versions are a number",
}  # fmt: skip
"""Damages of attributes that Coarsefine replaces, or does not write when it opens a study: they have no copy."""
DAMAGED_TRIALS = {
    "attribute": "UPDATE trial_user_attributes SET value_json = '{' WHERE trial_id = 3",
    "range of a parameter": "UPDATE trial_params SET distribution_json = '{}' WHERE trial_id = 3",
    "no number": "UPDATE trials SET number = NULL WHERE trial_id = 3",
    "negative number": "UPDATE trials SET number = -1 WHERE trial_id = 3",
    "state": "UPDATE trials SET state = 'HAPPY' WHERE trial_id = 3",
    "time": "UPDATE trials SET datetime_complete = 'soon' WHERE trial_id = 3",
    "time too early": "UPDATE trials SET datetime_start = '0001-01-01 00:00:00.000000' WHERE trial_id = 3",
    "seed": "UPDATE trial_user_attributes SET value_json = '[]' WHERE trial_id = 3 AND key = 'seed'",
    "losses": "UPDATE trial_user_attributes SET value_json = '[NaN]' WHERE trial_id = 3 AND key = 'train_loss'",
    "parameter": "UPDATE trial_params SET param_value = 'much' WHERE trial_id = 3",
    "option that is not there": "UPDATE trial_params SET param_value = 99, distribution_json = "
    """'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}' WHERE trial_id = 3""",
    "parameter without end": "UPDATE trial_params SET param_value = 9e999 WHERE trial_id = 3",
    "value": "UPDATE trial_values SET value = 'much' WHERE trial_id = 3",
    "epoch": "UPDATE trial_intermediate_values SET intermediate_value = 'much' WHERE trial_id = 3",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_study_is_left_out(copied, damage):
    """If a stage's study of an earlier version is damaged, the campaign is served without it, and says so."""
    forget_seal(copied)
    execute(copied, DAMAGES[damage])
    with serving(copied) as client:
        response = client.get(f"{API}/small")
        assert response.status_code == 200
        coarse, fine = response.json()["stages"]
        assert (coarse["study_id"], fine["completed"]) == (None, 6)
        problems = [*response.json()["problems"], *client.get(API).json()["problems"]]
        assert any("small/coarse" in problem for problem in problems)
        for path in ("", "/best", "/figures/map", "/figures/best-so-far", "/figures/losses", "/stages/fine/trials"):
            assert client.get(f"{API}/small{path}").status_code == 200, path
        assert client.get("/campaigns/small").status_code == 200


@pytest.mark.parametrize("damage", DAMAGED_TRIALS)
def test_damaged_trial_is_named(copied, damage):
    """A trial whose records are damaged is left out and named, by pages and commands; all others are shown."""
    execute(copied, DAMAGED_TRIALS[damage])
    what = "1 trial" if damage in {"no number", "negative number"} else "trial 2"
    with serving(copied) as client:
        found = client.get(f"{API}/small").json()
        (problem,) = found["problems"]
        assert problem.startswith(f"small/coarse: {what} cannot be read and is left out: ")
        assert [stage["study_id"] for stage in found["stages"]] == [1, 2]
        trials = client.get(f"{API}/small/stages/coarse/trials").json()["trials"]
        assert [trial["number"] for trial in trials] == [0, 1, *range(3, 9)]
        for path in ("/best", "/figures/map", "/figures/best-so-far", "/figures/losses"):
            assert client.get(f"{API}/small{path}").status_code == 200, path
        assert len(client.get("/api/studies/1").json()["trials"]) >= 8
    result = CliRunner().invoke(cli_app, ["status", "small", "--storage", str(copied)])
    assert result.exit_code == 0
    assert f"small/coarse: {what} cannot be read and is left out" in " ".join(result.stderr.split())
    assert "small/fine: 6 completed of 6 trials" in result.stdout
    result = CliRunner().invoke(cli_app, ["trials", "small", "--json", "--storage", str(copied)])
    assert result.exit_code == 0
    assert f"small/coarse: {what} cannot be read and is left out" in " ".join(result.stderr.split())
    assert len(json.loads(result.stdout)["trials"]) == 8 + 6


@pytest.mark.parametrize("damage", ["option that is not there", "parameter", "value", "epoch", "negative number"])
def test_damaged_trial_stops_what_needs_all_trials(copied, damage):
    """A command that needs all trials ends with an error that names the damaged one, and says what to do."""
    execute(copied, DAMAGED_TRIALS[damage])
    result = CliRunner().invoke(cli_app, ["export", "small", "--storage", str(copied)])
    assert isinstance(result.exception, StorageError)
    what = "a trial without a number" if damage == "negative number" else "trial 2"
    assert str(result.exception).startswith(f"small/coarse: {what} (")
    assert "restore the storage from a backup" in str(result.exception)


@pytest.mark.parametrize("damage", [*DAMAGES, "list of names"])
def test_damaged_study_hides_no_other_campaign(copied, damage):
    """Whatever is wrong with a study, `status` and `list` show the rest and name it, and other campaigns run."""
    forget_seal(copied)
    execute(copied, DAMAGES.get(damage, set_attr("campaign", '["small"]')))
    result = CliRunner().invoke(cli_app, ["status", "small", "--storage", str(copied)])
    assert result.exit_code == 0
    assert "small/fine: 6 completed of 6 trials" in result.stdout
    listed = CliRunner().invoke(cli_app, ["list", "--json", "--storage", str(copied)])
    assert listed.exit_code == 0
    assert [campaign["campaign"] for campaign in json.loads(listed.stdout)["campaigns"]][-1] == "small"
    assert "small/coarse" in result.stderr + listed.stdout + listed.stderr
    with closing(open_storage(locate(copied))) as storage:
        assert find_studies(storage, "another") == {}
    with serving(copied) as client:
        assert client.get(API).json()["campaigns"][-1]["campaign"] == "small"
        assert "small/fine" in [study["study_name"] for study in client.get("/api/studies").json()["study_summaries"]]


@pytest.mark.parametrize("damage", [damage for damage in DAMAGES if damage not in WRITTEN_LATER])
def test_damaged_study_is_shown_as_it_was(copied, damage):
    """A study is shown with the attributes that Coarsefine wrote, by pages and commands, which name what is damaged."""
    execute(copied, DAMAGES[damage])
    says = "Another program, such as Optuna, changed the attribute "
    with serving(copied) as client:
        found = client.get(f"{API}/small").json()
        assert [stage["study_id"] for stage in found["stages"]] == [1, 2]
        assert [problem.partition(says)[0] for problem in found["problems"]] == [""]
        assert client.get(f"{API}/small/stages/coarse/trials").json()["total"] == 9
        assert [campaign["campaign"] for campaign in client.get(API).json()["campaigns"]] == ["small"]
    result = CliRunner().invoke(cli_app, ["status", "--storage", str(copied)])
    assert (result.exit_code, result.stderr.startswith(says)) == (0, True)
    assert "small/coarse: " in result.stdout


def test_renamed_study_is_recognised(copied):
    """A study that another program has renamed stays the stage's, and the page names both; a copy is left out."""
    execute(copied, "UPDATE studies SET study_name = 'mine' WHERE study_id = 1")
    renamed = "Another program renamed the study small/coarse to mine."
    with serving(copied) as client:
        found = client.get(f"{API}/small").json()
        assert found["problems"] == [renamed]
        assert [stage["study_id"] for stage in found["stages"]] == [1, 2]
        assert client.get(f"{API}/small/stages/coarse/trials").json()["total"] == 9
    result = CliRunner().invoke(cli_app, ["status", "small", "--storage", str(copied)])
    assert re.search(r"^small/coarse: .* of 9 trials", result.stdout, re.MULTILINE)
    assert f"{renamed} To give it back its name, run" in " ".join(result.stderr.split())
    optuna.copy_study(
        from_study_name="mine", from_storage=f"sqlite:///{copied}", to_storage=f"sqlite:///{copied}",
        to_study_name="small/coarse",
    )  # fmt: skip
    with serving(copied) as client:
        found = client.get(f"{API}/small").json()
        assert found["problems"] == ["The study mine is a copy of small/coarse. It is left out."]
        assert [stage["study_id"] for stage in found["stages"]] == [3, 2]


def test_damaged_trial_is_left_out(copied):
    """A completed trial without a finite value or with invalid losses is left out of its stage."""
    trial = "trial_id = (SELECT trial_id FROM trials WHERE study_id = 2 AND number = ?)"
    forget_marks(copied)
    execute(copied, f"UPDATE trial_values SET value = NULL, value_type = 'INF_POS' WHERE {trial}", 0)  # noqa: S608
    set_losses = "UPDATE trial_user_attributes SET value_json = '7' WHERE key = 'train_loss'"
    execute(copied, f"{set_losses} AND {trial}", 1)
    with serving(copied) as client:
        response = client.get(f"{API}/small").json()
        assert response["problems"] == [
            "small/fine: trials 0 to 1 cannot be read and are left out: not as Coarsefine writes it."
        ]
        rows = client.get(f"{API}/small/stages/fine/trials").json()["trials"]
        assert [row["number"] for row in rows] == [2, 3, 4, 5]


def test_foreign_studies_are_ignored(copied):
    """Foreign studies and trials without a slot are ignored; one below the campaign's name is listed as a problem."""
    storage = f"sqlite:///{copied}"
    optuna.create_study(storage=storage, study_name="small/own")
    optuna.create_study(storage=storage, study_name="mine")
    coarse = optuna.load_study(study_name="small/coarse", storage=storage)
    coarse.enqueue_trial({"eta": 0.1, "lambda": 1e-3})
    with serving(copied) as client:
        response = client.get(f"{API}/small").json()
        assert response["problems"] == [
            "The study small/own was not made by Coarsefine. It is left out.",
            "small/coarse: another program, such as Optuna, added trial 9: it is neither trained nor counted.",
        ]
        assert [stage["trials"] for stage in response["stages"]] == [9, 6]
        assert [campaign["campaign"] for campaign in client.get(API).json()["campaigns"]] == ["small"]
        names = [study["study_name"] for study in client.get("/api/studies").json()["study_summaries"]]
        assert names[2:] == ["small/own", "mine"]


def test_campaign_with_only_damaged_studies_is_a_404(copied):
    """If all studies of a campaign are damaged, the list says why, and the campaign is a 404."""
    forget_seal(copied)
    for study in (1, 2):
        execute(copied, "DELETE FROM study_user_attributes WHERE study_id = ? AND key = 'space'", study)
    with serving(copied) as client:
        response = client.get(API).json()
        assert response["campaigns"] == []
        assert len(response["problems"]) == 2
        assert client.get(f"{API}/small").status_code == 404
        assert client.get("/", follow_redirects=True).url.path == "/campaigns"


def test_planted_markup_stays_text(copied):
    """Markup in names, notes, reasons and attributes is served only as JSON that browsers do not render."""
    forget_seal(copied)
    storage = f"sqlite:///{copied}"
    optuna.create_study(storage=storage, study_name=f"small/{SCRIPT.replace('/', '|')}").set_user_attr(
        "campaign", SCRIPT
    )
    coarse = optuna.load_study(study_name="small/coarse", storage=storage)
    coarse.set_user_attr("rule", SCRIPT)
    template = coarse.trials[0]
    coarse.set_user_attr("slots", 10)  # the planted trial passes for a slot
    attrs = {"seed": 1, "reason": SCRIPT, SCRIPT: SCRIPT, "ended": {"state": "FAIL", "value": None}}
    planted = create_trial(
        state=TrialState.FAIL, params=template.params, distributions=template.distributions, user_attrs=attrs
    )
    coarse.add_trial(planted)
    with serving(copied) as client:
        response = client.get(f"{API}/small")
        assert response.json()["stages"][0]["rule"] == SCRIPT
        rows = client.get(f"{API}/small/stages/coarse/trials").json()["trials"]
        assert rows[-1]["reason"] == SCRIPT
        for path in (
            f"{API}/small",
            API,
            f"{API}/small/stages/coarse/trials",
            f"{API}/small/figures/map",
            "/api/studies",
            "/api/studies/1",
        ):
            headers = client.get(path).headers
            assert headers["content-type"].startswith("application/json")
            assert headers["x-content-type-options"] == "nosniff"
        for path in ("/campaigns", "/campaigns/small", f"/campaigns/{SCRIPT}", f"/nothing{SCRIPT}", "/dashboard"):
            assert SCRIPT not in client.get(path).text, path


def test_file_of_a_killed_writer_is_rolled_back(searched, tmp_path):
    """If a writer was killed during its commit, the server rolls the file back and reads it."""
    path, other = tmp_path / "studies.db", tmp_path / "killed.db"
    shutil.copy(searched / "studies.db", path)
    with serving(path) as client, closing(sqlite3.connect(path, isolation_level=None)) as writer:
        before = client.get(f"{API}/small").json()
        writer.execute("PRAGMA cache_size = 1")  # so that changes reach the file before the commit
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE trial_user_attributes SET value_json = value_json || ' '")
        writer.execute("UPDATE trial_params SET param_value = 1")
        journal = Path(f"{path}-journal")
        shutil.copy(journal, f"{other}-journal")
        shutil.copy(path, other)
        writer.execute("ROLLBACK")
        Path(f"{other}-journal").rename(journal)
        other.rename(path)
        payload = client.get(f"{API}/small/stages/coarse/trials/0", headers={"Cache-Control": "no-cache"}).json()
        assert client.get("/api/studies").status_code == 200
        wait_for(client, lambda response: response["stages"] == before["stages"])
        assert payload["params"]["eta"] != 1
    assert not journal.exists()


def test_replaced_file_is_read_again(searched, tmp_path):
    """If the file is replaced, the server shows the new one without a restart."""
    path = tmp_path / "studies.db"
    shutil.copy(searched / "studies.db", path)
    with serving(path) as client:
        assert client.get(f"{API}/small").json()["stages"][0]["best"]
        other = tmp_path / "other.db"
        shutil.copy(path, other)
        forget_marks(other)
        execute(other, "UPDATE trials SET state = 'WAITING', datetime_complete = NULL WHERE study_id = 2")
        execute(other, "DELETE FROM study_user_attributes WHERE key = 'final'")
        other.rename(path)
        assert wait_for(client, lambda response: response["stages"][1]["waiting"] == 6)["state"] == "interrupted"
        path.unlink()
        assert wait_for_status(client, 503)["detail"].startswith("The storage cannot be read just now")
        shutil.copy(searched / "studies.db", path)
        assert wait_for(client, lambda response: response["state"] == "done")


def test_changes_by_other_programs_are_seen(copied):
    """Changed values of trials are read, even if the trials keep their ids and numbers."""
    with serving(copied) as client:
        before = client.get(f"{API}/small/stages/fine/trials/0").json()
        forget_marks(copied)
        execute(
            copied,
            "UPDATE trial_values SET value = 0.125 WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id = 2)",
        )
        execute(copied, "UPDATE trials SET datetime_complete = '2030-01-01 00:00:00' WHERE study_id = 2")
        wait_for(client, lambda response: response["stages"][1]["best"][0]["value"] == 0.125)
        after = client.get(f"{API}/small/stages/fine/trials/0").json()
        assert before["value"] != after["value"] == 0.125


def wait_for(client, condition):
    """Return the campaign's payload once a condition holds."""
    return _wait(client, lambda response: response.status_code == 200 and condition(response.json()))


def wait_for_status(client, status):
    """Return the campaign's payload once the response has a status."""
    return _wait(client, lambda response: response.status_code == status)


def _wait(client, condition):
    """Return the payload of the first response that meets a condition."""
    deadline = time.monotonic() + 240
    while not condition(response := client.get(f"{API}/small")):
        assert time.monotonic() < deadline, response.text
        time.sleep(0.05)
    return response.json()


def test_read_only_storage_refuses_writes(location):
    """A storage at a read-only location can be read but not written, on each database."""
    storage = open_storage(read_only(location))
    try:
        assert storage.get_all_studies() == []
        with pytest.raises(StorageInternalError):
            storage.create_new_study([StudyDirection.MAXIMIZE])
        with pytest.raises(StorageError):
            storage.set_study_attrs(1, {"a": 1})
        assert storage.get_all_studies() == []
    finally:
        storage.close()


def test_file_name_may_contain_url_characters(searched, tmp_path):
    """Characters with a meaning in URLs are plain characters in a file's name."""
    path = shutil.copy(searched / "studies.db", tmp_path / "a?mode=rw#b%41{c} ü.db")
    with serving(path) as client:
        assert client.get(f"{API}/small").json()["state"] == "done"
    assert len(list(tmp_path.iterdir())) == 1


def test_unforeseen_damage_hides_no_other_campaign(copied, monkeypatch):
    """If records break the code that reads them, the lists name the campaign, and the server still ends well."""

    def broken(studies):
        if any(study.name.startswith("small/") for study in studies):
            raise ZeroDivisionError("odd records")
        return ()

    monkeypatch.setattr("coarsefine.search.results.status_reading.sources_of", broken)
    listed = CliRunner().invoke(cli_app, ["list", "--json", "--storage", str(copied)])
    assert listed.exit_code == 0
    with serving(copied) as client:
        for found in (json.loads(listed.stdout), client.get(API).json()):
            assert found["campaigns"] == []
            assert found["problems"] == [
                "small cannot be read (ZeroDivisionError('odd records')): another program has probably changed its "
                "records."
            ]
