"""Databases and exports that were written before the package was named `coarsefine` are still read.

A campaign of the network that was left unfinished then is refused, because NumPy trained it, with other rounding.

`tests/data/before-the-package` holds what the commit before that wrote: the studies of a finished and of an interrupted
campaign as SQL, the finished one's `status --json` (without the storage) and `best --json`, and its export.
`tests/data/before-directions` holds an interrupted campaign of a function, from before campaigns had a direction.
"""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from forked import forked_command

from coarsefine.model.arithmetic import KERNEL, arithmetic_kind, has_kernel
from coarsefine.search.network.export import export_trial, read_export, text_of
from coarsefine.search.results.campaign_studies import read_studies
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage
from coarsefine.search.training.identity import versions

EARLIER = Path(__file__).parents[2] / "data" / "before-the-package"
ACCEPT = "give --accept-changes (in Python accept_changes=True) to go on with what is here, which records both"
FUNCTION = EARLIER.with_name("before-directions")


@pytest.fixture
def earlier(tmp_path):
    """Return a storage with the earlier studies, as if the library versions had not changed since."""
    return stored(EARLIER / "studies.sql", tmp_path / "studies.db")


def stored(dump, path):
    """Make a storage at a path from its SQL, as if the library versions had not changed since; return the path."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump.read_text("utf-8"))
        update = "UPDATE study_user_attributes SET value_json = ? WHERE key = 'versions'"
        connection.execute(update, [json.dumps(versions())])
        connection.commit()
    return path


@pytest.mark.parametrize("command", ["status", "best"])
@pytest.mark.usefixtures("earlier")
def test_earlier_campaign_prints_the_same_json(cli, command):
    """The command prints the JSON that it printed then, except for the sentence about the finalists."""
    code, printed, error = cli(command, "finished", "--json")
    assert code == 0, error
    record = json.loads(printed)
    record.pop("storage", None)
    expected = json.loads((EARLIER / f"{command}.json").read_text("utf-8"))
    for each in (record, expected):
        del each["confirm"]["verdict"]
    assert json.dumps(record, indent=2) == json.dumps(expected, indent=2)


def finalists_changed(path, change):
    """Change the finalists that the finished campaign stores by SQLite's JSON function."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            f"UPDATE study_user_attributes SET value_json = {change} WHERE key = 'finalists'"  # noqa: S608 - our own
        )
        connection.commit()


def test_finalists_of_a_later_version_are_read(cli, earlier):
    """Keys of the stored finalists that only a later version knows are ignored; a study with others is left out."""
    code, before, _ = cli("best", "finished", "--json")
    finalists_changed(earlier, "json_set(value_json, '$[0].later', 1)")
    assert cli("best", "finished", "--json") == (code, before, "")
    finalists_changed(earlier, "json_set(value_json, '$[0].number', 'one')")
    code, printed, error = cli("best", "finished", "--json")
    assert (code, json.loads(printed)["confirm"]) == (0, None)
    assert "The study finished/confirm is not as Coarsefine writes it: number: " in " ".join(error.split())


def test_earlier_export_is_read_and_reproduced(earlier):
    """The earlier export is read, and its winner gives the same file except for versions, platform and a sentence."""
    export = read_export(EARLIER / "export.json")
    with closing(open_storage(locate(earlier))) as storage:
        _, studies = read_studies(storage, "finished")
    again, expected = (json.loads(text_of(each)) for each in (export_trial(studies), export))
    for record in (again, expected):
        for key in ("digest", "platform", "versions"):
            del record[key]
        del record["evidence"]["verdict"]
    assert json.dumps(again) == json.dumps(expected)


@pytest.mark.usefixtures("earlier")
def test_earlier_campaign_makes_a_report(cli):
    """The report of an earlier campaign is written."""
    code, _, error = cli("report", "finished", "--output", "finished.html")
    assert code == 0, error
    assert "finished" in Path("finished.html").read_text("utf-8")


def arithmetic_changed(path, arithmetic):
    """Store an arithmetic with the interrupted campaign, which stores none."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO study_user_attributes (study_id, key, value_json) "
            "SELECT study_id, 'arithmetic', ? FROM studies WHERE study_name LIKE 'unfinished/%'",
            [json.dumps(arithmetic)],
        )
        connection.commit()


def run_unfinished(cli):
    """Run the interrupted campaign; return the exit code and the error."""
    code, _, error = cli("run", EARLIER / "unfinished.toml", "--workers", "1", "--quiet")
    return code, error


def test_earlier_interrupted_campaign_is_refused(cli, earlier):
    """A campaign that an earlier version left unfinished is refused with the reason, and nothing is trained."""
    before = ended(earlier)
    assert run_unfinished(cli) == (
        2,
        "unfinished/coarse was started with something else: its trials were computed by an earlier version of "
        f"Coarsefine, with other rounding than {arithmetic_kind()}. Finish it with that version, {ACCEPT}, or start "
        "the campaign under another name or --storage.\n",
    )
    assert ended(earlier) == before


def test_campaign_with_another_arithmetic_is_refused(cli, earlier):
    """A campaign that another version of the kernel began is refused, and both are named."""
    arithmetic_changed(earlier, "coarsefine kernel 0")
    code, error = run_unfinished(cli)
    assert code == 2
    assert f"arithmetic was 'coarsefine kernel 0', now {arithmetic_kind()!r}. Finish it with that version" in error


@pytest.mark.skipif(not has_kernel(), reason="there is no kernel here")
@pytest.mark.parametrize(
    ("before", "now", "kernel", "remedy", "reason"),
    [
        ("NumPy", KERNEL, "", "COARSEFINE_KERNEL=none", ""),
        (KERNEL, "NumPy", "none", "the kernel", " COARSEFINE_KERNEL is “none”: unset it to use the kernel."),
    ],
)
def test_kernel_and_numpy_do_not_mix(earlier, before, now, kernel, remedy, reason):
    """A campaign that NumPy began is not resumed by the kernel, nor the other way round; the error says what to do."""
    arithmetic_changed(earlier, before)
    arguments = ("run", EARLIER / "unfinished.toml", "--workers", "1", "--quiet")
    answer = forked_command(*arguments, cwd=earlier.parent, env={"COARSEFINE_KERNEL": kernel})
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1] == (
        f"unfinished/coarse was started with something else: arithmetic was {before!r}, now {now!r}. Finish it with "
        f"{remedy}, {ACCEPT}, or start the campaign under another name or --storage.{reason}"
    )


def test_earlier_interrupted_campaign_is_resumed(cli, earlier):
    """With the same arithmetic, an interrupted campaign is resumed to its end and keeps the earlier trials."""
    arithmetic_changed(earlier, arithmetic_kind())
    before = ended(earlier)
    assert len(before) == 5
    assert run_unfinished(cli) == (0, "")
    after = ended(earlier)
    assert before.items() <= after.items()
    assert len(after) == 6 + 4 + 4


def test_earlier_campaign_of_a_function_is_resumed(cli, tmp_path):
    """A function's campaign that was interrupted before there were directions goes on and maximizes its values."""
    path = stored(FUNCTION / "studies.sql", tmp_path / "studies.db")
    for name in ("parabola.py", "parabola.toml"):
        shutil.copy(FUNCTION / name, tmp_path)
    before = ended(path, "parabola")
    assert len(before) == 3
    code, printed, error = cli("run", "parabola.toml", "--workers", "1", "--quiet", "--json")
    assert (code, error) == (0, "")
    after = ended(path, "parabola")
    assert before.items() <= after.items()
    assert len(after) == 6 + 4 + 4
    highest = max(value for (study, _), (_, value) in after.items() if study == "parabola/fine")
    status = json.loads(printed)
    assert status["stages"][1]["best"][0]["value"] == highest
    assert status["metric"] == {"name": "value", "title": "value", "is_share": False, "direction": "maximize"}


def ended(path, campaign="unfinished"):
    """Return state and value of each ended trial of the interrupted campaign, by study and number."""
    query = (
        "SELECT study_name, number, state, value FROM trials JOIN studies USING (study_id) "
        "LEFT JOIN trial_values USING (trial_id) "
        "WHERE study_name LIKE ? || '/%' AND state NOT IN ('WAITING', 'RUNNING')"
    )
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(query, [campaign])
        return {(study, number): (state, value) for study, number, state, value in found}
