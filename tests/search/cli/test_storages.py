"""The commands about the campaigns of a storage, `list` and `delete`, and what others do if there are several."""

import json
import shutil
import sqlite3
from contextlib import closing
from importlib.metadata import version

import optuna
import pytest
from campaigns import write_campaign
from commands import coarsefine
from stored import FORGET_SEAL

ONE_STAGE = {"fine": None, "coarse": {"trials": 3}}


@pytest.fixture(scope="module")
def two(searched, tmp_path_factory):
    """Return a folder whose storage holds two campaigns, `small` and `other`, the second with logs."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copy(searched / "studies.db", folder / "studies.db")
    changes = {"objective": "user_functions:talks", "confirm": None, "stage": ONE_STAGE}
    toml = write_campaign(folder, "objective", name="other", **changes) / "small.toml"
    assert coarsefine("run", toml, "--workers", 1, "--quiet", cwd=folder).returncode == 3  # two fail
    return folder


@pytest.fixture
def folder(two, tmp_path):
    """Return a copy of that folder, which the test may change."""
    return shutil.copytree(two, tmp_path / "two")


def test_version_is_printed(tmp_path):
    """`--version` prints the version of the package."""
    answer = coarsefine("--version", cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (0, f"coarsefine {version('coarsefine')}\n")


def test_campaigns_are_listed(two):
    """`list` prints a row for each campaign, and as JSON what the server's API answers."""
    answer = coarsefine("list", cwd=two)
    rows = [line.split() for line in answer.stdout.splitlines()[2:]]
    assert [row[:4] for row in rows] == [["small", "done", "15/15", "0"], ["other", "done", "3/3", "2"]]
    listed = json.loads(coarsefine("list", "--json", cwd=two).stdout)
    assert [campaign["campaign"] for campaign in listed["campaigns"]] == ["small", "other"]
    assert listed["campaigns"][0]["stages"][0]["trials"] == 9


def test_campaign_that_cannot_be_read_is_named(folder):
    """`list` names a campaign whose settings cannot be read, and shows the others."""
    with closing(sqlite3.connect(folder / "studies.db")) as connection, connection:
        connection.execute(FORGET_SEAL)
        connection.execute("""UPDATE study_user_attributes SET value_json = '{"name": 5}' WHERE key = 'config'
            AND study_id IN (SELECT study_id FROM studies WHERE study_name LIKE 'small/%')""")
    answer = coarsefine("list", cwd=folder)
    assert (answer.returncode, answer.stderr.startswith("small: ")) == (0, True)
    assert [line.split()[0] for line in answer.stdout.splitlines()[2:]] == ["other"]


@pytest.mark.parametrize("command", ["status", "best"])
def test_several_campaigns_are_listed_if_none_is_named(two, command):
    """Without a name, `status` and `best` list several campaigns and print the commands that show one of them.

    For a program, which asked for JSON of one campaign, that is an error.
    """
    answer = coarsefine(command, "--storage", "./studies.db", cwd=two)
    assert answer.returncode == 0
    for name in ("small", "other"):
        assert f" {command} {name} --storage ./studies.db\n" in answer.stdout
    refused = coarsefine(command, "--json", cwd=two)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "holds several campaigns: name one of them (small, other)" in refused.stderr


def test_campaign_is_deleted_with_its_files(folder):
    """`delete --yes` deletes a campaign and its logs, leaves other campaigns and its exports, and keeps a backup."""
    (folder / "exports").mkdir()
    (folder / "exports" / "other.json").write_text("{}", "utf-8")
    before = coarsefine("status", "small", "--json", cwd=folder).stdout
    assert (folder / "logs" / "other").is_dir()
    answer = coarsefine("delete", "other", "--yes", "--json", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    deleted = json.loads(answer.stdout)
    assert (deleted["studies"], deleted["trials"]) == (["other/coarse"], 3)
    assert deleted["folders"] == ["logs/other"]
    assert not (folder / "logs").exists()
    assert (folder / "exports" / "other.json").exists()
    assert coarsefine("status", "--json", cwd=folder).stdout == before
    backup = folder / deleted["backup"]
    assert coarsefine("status", "other", "--storage", backup, cwd=folder).returncode == 0
    assert coarsefine("delete", "other", "--yes", cwd=folder).returncode == 2


@pytest.mark.parametrize("copied", [False, True])
def test_renamed_study_is_deleted_with_its_campaign(folder, copied):
    """A campaign whose study another program renamed is deleted, as `list` names it; of a copy, `delete` says so."""
    storage = f"sqlite:///{folder / 'studies.db'}"
    optuna.copy_study(
        from_study_name="other/coarse", from_storage=storage, to_study_name="elsewhere", to_storage=storage
    )
    if not copied:
        optuna.delete_study(study_name="other/coarse", storage=storage)
    answer = coarsefine("delete", "other", "--yes", cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert ("The study elsewhere was copied from it by another program and stays" in answer.stderr) is copied
    assert ("other" in coarsefine("list", cwd=folder).stdout) is copied
    if copied:
        assert coarsefine("delete", "other", "--yes", cwd=folder).returncode == 0
        assert "other" not in coarsefine("list", cwd=folder).stdout


def test_worker_reads_nothing_after_the_last_stage(folder, monkeypatch):
    """The exit code of `worker` follows from the trials that it has read: its server may be gone by then."""
    monkeypatch.setattr("coarsefine.search.cli.campaigns.read", None)
    answer = coarsefine("worker", "small.toml", cwd=folder)
    assert answer.returncode == 3, answer.stderr
    assert "2 of 3 trials of other/coarse failed" in answer.stderr


def test_nothing_is_deleted_without_a_confirmation(folder, monkeypatch):
    """Where nobody can be asked, `delete` says what it would delete, and deletes nothing without --yes."""
    monkeypatch.setattr("sys.stdin", None)
    answer = coarsefine("delete", "other", cwd=folder)
    assert answer.returncode == 2
    said, refused = answer.stderr.splitlines()
    assert "1 stage with 3 trials" in said
    assert "logs/other" in said
    assert "--yes" in refused
    assert coarsefine("status", "other", cwd=folder).returncode == 0


def test_no_folder_outside_is_deleted(folder):
    """The name of a study that another program has made leads to no other folder."""
    (folder / "logs" / "keep.log").touch()
    with closing(sqlite3.connect(folder / "studies.db")) as connection, connection:
        connection.execute(FORGET_SEAL)
        connection.execute("UPDATE studies SET study_name = '../coarse' WHERE study_name = 'other/coarse'")
        connection.execute("""UPDATE study_user_attributes SET value_json = '".."' WHERE value_json = '"other"'""")
    answer = coarsefine("delete", "..", "--yes", "--json", cwd=folder)
    assert json.loads(answer.stdout)["folders"] == []
    assert (folder / "logs" / "keep.log").exists()
