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

from coarsefine.search.errors import StorageError
from coarsefine.search.storage.location import read_only
from coarsefine.search.storage.opening import open_storage

API = "/api/v1/campaigns"
SCRIPT = "<script>alert(1)</script>"


def execute(path, statement, *values):
    """Write into the file as anybody may."""
    with closing(sqlite3.connect(path, timeout=240)) as connection, connection:
        connection.execute(statement, values)


def attr(key, form):
    """Return the statement that sets an attribute of the coarse stage's study to what stands in the file then."""
    return f"UPDATE study_user_attributes SET value_json = '{form}' WHERE key = '{key}' AND study_id = 1"  # noqa: S608


BREAKS = {
    "no JSON": attr("space", "{"),
    "not its type": attr("space", "[1, 2]"),
    "bounds not positive": attr("space", '{"eta": [-1, 1], "lambda": [0.1, 1]}'),
    "no stages": attr("config", '{"name": "small", "model": {"epochs": 3}, "stage": []}'),
    "another stage": attr("stage", '"fine"'),
    "another campaign": attr("campaign", '"other"'),
    "odd campaign": attr("campaign", '{"a": []}'),
    "attribute gone": "DELETE FROM study_user_attributes WHERE study_id = 1 AND key = 'config'",
    "odd final": "INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (1, 'final', '{}')",
    "attribute of a trial": "UPDATE trial_user_attributes SET value_json = '{' WHERE trial_id = 3",
    "range of a parameter": "UPDATE trial_params SET distribution_json = '{}' WHERE trial_id = 3",
    "number of a trial": "UPDATE trials SET number = NULL WHERE trial_id = 3",
    "state of a trial": "UPDATE trials SET state = 'HAPPY' WHERE trial_id = 3",
}


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_study_does_not_take_the_page_down(copied, broken):
    """Whatever is wrong with one stage's study, the campaign is told with the other, and says what is left out."""
    execute(copied, BREAKS[broken])
    with serving(copied) as client:
        answer = client.get(f"{API}/small")
        assert answer.status_code == 200
        coarse, fine = answer.json()["stages"]
        assert (coarse["study_id"], fine["completed"]) == (None, 6)
        told = [*answer.json()["problems"], *client.get(API).json()["problems"]]
        assert any("small/coarse" in problem for problem in told)
        for path in ("", "/best", "/figures/map", "/figures/best-so-far", "/figures/losses", "/stages/fine/trials"):
            assert client.get(f"{API}/small{path}").status_code == 200, path
        assert client.get("/campaigns/small").status_code == 200


def test_a_broken_trial_is_left_out_alone(copied):
    """A completed trial without a finite value, or with losses that are none, is left out; its stage stays."""
    trial = "trial_id = (SELECT trial_id FROM trials WHERE study_id = 2 AND number = ?)"
    execute(copied, f"UPDATE trial_values SET value = NULL, value_type = 'INF_POS' WHERE {trial}", 0)  # noqa: S608
    losses = "UPDATE trial_user_attributes SET value_json = '7' WHERE key = 'train_loss'"
    execute(copied, f"{losses} AND {trial}", 1)
    with serving(copied) as client:
        answer = client.get(f"{API}/small").json()
        assert answer["problems"] == ["2 trials of small/fine are left out: they do not hold what Coarsefine writes."]
        rows = client.get(f"{API}/small/stages/fine/trials").json()["trials"]
        assert [row["number"] for row in rows] == [2, 3, 4, 5]


def test_what_is_no_stage_is_left_alone(copied):
    """A study of somebody else under a campaign's name is told; one elsewhere is none of ours; strays are no slots."""
    storage = f"sqlite:///{copied}"
    optuna.create_study(storage=storage, study_name="small/own")
    optuna.create_study(storage=storage, study_name="mine")
    coarse = optuna.load_study(study_name="small/coarse", storage=storage)
    coarse.enqueue_trial({"eta": 0.1, "lambda": 1e-3})
    with serving(copied) as client:
        answer = client.get(f"{API}/small").json()
        assert answer["problems"] == ["The study small/own was not made by Coarsefine. It is left out."]
        assert [stage["trials"] for stage in answer["stages"]] == [9, 6]
        assert [campaign["campaign"] for campaign in client.get(API).json()["campaigns"]] == ["small"]
        names = [study["study_name"] for study in client.get("/api/studies").json()["study_summaries"]]
        assert names[2:] == ["small/own", "mine"]


def test_a_campaign_without_a_sound_study_is_told(copied):
    """Where all studies of a campaign are broken, the list says why, and its page is a 404 with a sentence."""
    for study in (1, 2):
        execute(copied, "DELETE FROM study_user_attributes WHERE study_id = ? AND key = 'space'", study)
    with serving(copied) as client:
        answer = client.get(API).json()
        assert answer["campaigns"] == []
        assert len(answer["problems"]) == 2
        assert client.get(f"{API}/small").status_code == 404
        assert client.get("/", follow_redirects=True).url.path == "/campaigns"


def test_planted_markup_stays_text(copied):
    """Markup in names, notes, reasons and attributes comes as JSON that nobody takes for a page, and in no page."""
    storage = f"sqlite:///{copied}"
    optuna.create_study(storage=storage, study_name=f"small/{SCRIPT.replace('/', '|')}").set_user_attr(
        "campaign", SCRIPT
    )
    coarse = optuna.load_study(study_name="small/coarse", storage=storage)
    coarse.set_user_attr("rule", SCRIPT)
    like = coarse.trials[0]
    attrs = {"seed": 1, "reason": SCRIPT, SCRIPT: SCRIPT}
    planted = create_trial(
        state=TrialState.FAIL, params=like.params, distributions=like.distributions, user_attrs=attrs
    )
    coarse.add_trial(planted)
    with serving(copied) as client:
        answer = client.get(f"{API}/small")
        assert answer.json()["stages"][0]["rule"] == SCRIPT
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


def test_a_file_that_a_killed_writer_left_is_read(searched, tmp_path):
    """Where a writer was killed amid its commit, the server undoes what it left half done, and answers."""
    path, other = tmp_path / "studies.db", tmp_path / "killed.db"
    shutil.copy(searched / "studies.db", path)
    with serving(path) as client, closing(sqlite3.connect(path, isolation_level=None)) as writer:
        before = client.get(f"{API}/small").json()
        writer.execute("PRAGMA cache_size = 1")  # what does not fit is written into the file before the commit
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE trial_user_attributes SET value_json = value_json || ' '")
        writer.execute("UPDATE trial_params SET param_value = 1")
        journal = Path(f"{path}-journal")
        shutil.copy(journal, f"{other}-journal")
        shutil.copy(path, other)
        writer.execute("ROLLBACK")
        Path(f"{other}-journal").rename(journal)
        other.rename(path)
        told = client.get(f"{API}/small/stages/coarse/trials/0", headers={"Cache-Control": "no-cache"}).json()
        assert client.get("/api/studies").status_code == 200
        wait_for(client, lambda answer: answer["stages"] == before["stages"])
        assert told["params"]["eta"] != 1
    assert not journal.exists()


def test_a_file_that_is_replaced_is_read_anew(searched, tmp_path):
    """Who begins anew under the same path sees the new campaign without starting the server again."""
    path = tmp_path / "studies.db"
    shutil.copy(searched / "studies.db", path)
    with serving(path) as client:
        assert client.get(f"{API}/small").json()["stages"][0]["best"]
        other = tmp_path / "other.db"
        shutil.copy(path, other)
        execute(other, "UPDATE trials SET state = 'WAITING', datetime_complete = NULL WHERE study_id = 2")
        execute(other, "DELETE FROM study_user_attributes WHERE key = 'final'")
        other.rename(path)
        assert wait_for(client, lambda answer: answer["stages"][1]["waiting"] == 6)["state"] == "interrupted"
        path.unlink()
        assert wait_for_status(client, 503)["detail"].startswith("The storage cannot be read just now")
        shutil.copy(searched / "studies.db", path)
        assert wait_for(client, lambda answer: answer["state"] == "done")


def test_what_somebody_else_changes_is_seen(copied):
    """A study deleted and made again under its old ids is read anew, though its trials have the same numbers."""
    with serving(copied) as client:
        before = client.get(f"{API}/small/stages/fine/trials/0").json()
        execute(
            copied,
            "UPDATE trial_values SET value = 0.125 WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id = 2)",
        )
        execute(copied, "UPDATE trials SET datetime_complete = '2030-01-01 00:00:00' WHERE study_id = 2")
        wait_for(client, lambda answer: answer["stages"][1]["best"][0]["value"] == 0.125)
        after = client.get(f"{API}/small/stages/fine/trials/0").json()
        assert before["value"] != after["value"] == 0.125


def wait_for(client, reached):
    """Return the campaign's answer once it is as wanted."""
    return _wait(client, lambda answer: answer.status_code == 200 and reached(answer.json()))


def wait_for_status(client, status):
    """Return the campaign's answer once it has a status."""
    return _wait(client, lambda answer: answer.status_code == status)


def _wait(client, reached):
    deadline = time.monotonic() + 240
    while not reached(answer := client.get(f"{API}/small")):
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)
    return answer.json()


def test_the_database_itself_refuses_writes(location):
    """Through a read-only location everything is read and nothing written, on each database."""
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


def test_read_only_files_may_be_named_oddly(searched, tmp_path):
    """What has a meaning in a URL is a plain character in a file's name."""
    path = shutil.copy(searched / "studies.db", tmp_path / "a?mode=rw#b%41{c} ü.db")
    with serving(path) as client:
        assert client.get(f"{API}/small").json()["state"] == "done"
    assert len(list(tmp_path.iterdir())) == 1
