"""Attributes of studies that another program edits are named with what they were, and a command puts them back."""

import json
import re
import shlex
import shutil
import sqlite3
from contextlib import closing

import optuna
import pytest
from campaigns import write_campaign
from stored import FORGET_SEAL

from coarsefine import Campaign, Interrupted, Observer, StorageError, retry, run
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import open_storage

URL = "sqlite:///studies.db"
BACK = re.compile(r"`python -c (.*?)`, then run the same command again; or start the campaign under another name")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Return the folder of a campaign of a function that was stopped when its second stage had opened."""
    folder, events = write_campaign(tmp_path_factory.mktemp("opened"), "objective"), []
    observer = Observer()
    observer.on_stage_opened = lambda _, stage: events.append(stage.stage_name)
    with pytest.raises(Interrupted):
        run(
            Campaign.load(folder / "small.toml"),
            folder / "studies.db",
            observer=observer,
            stop=lambda: "fine" in events,
        )
    return folder


@pytest.fixture(autouse=True)
def _copied(opened, tmp_path, monkeypatch):
    """Make a copy of the campaign in the working directory."""
    shutil.copytree(opened, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def execute(statement):
    with closing(sqlite3.connect("studies.db")) as connection, connection:
        connection.execute(statement)


def attributes():
    """Return the user attributes of all studies, as Optuna reads them."""
    return {study.study_name: study.user_attrs for study in optuna.get_all_study_summaries(URL)}


def put_back(message):
    """Run what the message gives to run."""
    (script,) = BACK.findall(message)
    exec(shlex.split(script)[0], {})  # noqa: S102 - as `python -c` does, without another process


def resumed():
    """Return the message with which the campaign does not resume."""
    with pytest.raises(StorageError) as error:
        run(Campaign.load("small.toml"))
    return str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("stage", "mine", "the attribute stage of the study small/coarse: stage was 'coarse', now 'mine'."),
        ("stage", "fine", "stage was 'coarse', now 'fine'."),
        ("campaign", "other", "campaign was 'small', now 'other'."),
        ("config", {}, "config.epochs was 6, now None"),
        ("space", [], "space was {"),
        ("id", "mine", "id was '"),
        ("slots", 3, "slots was 8, now 3."),
        ("parent", "mine", "parent was None, now 'mine'."),
        ("objective", "mine:train", "objective was {"),
        ("objective", {"name": "mine:f", "digest": "0"}, "objective.name was 'user_functions:single', now 'mine:f'."),
        ("retried", "often", "retried was [], now 'often'."),
    ],
)
def test_edited_attribute_is_named_and_put_back(cli, key, value, text):
    """A run stops and says what was edited; `status` answers and says so; the command of the message puts it back."""
    before = attributes()
    optuna.load_study(study_name="small/coarse", storage=URL).set_user_attr(key, value)
    message = resumed()
    assert message.startswith(
        f"Another program, such as Optuna, changed the attribute {key} of the study small/coarse: "
    )
    assert text in message
    for command in ("best", "trials"):
        code, _, error = cli(command, "small")
        assert code == 0, error
    assert message in cli("status")[2].replace("\n", " ")
    put_back(message)
    after = attributes()
    pairs = [(study, name) for study, attrs in before.items() for name in attrs]
    changed = {(study, name) for study, name in pairs if before[study][name] != after[study].get(name)}
    assert changed <= {("small/coarse", "objective")}  # whose text is not kept twice
    assert cli("status")[2] == ""


@pytest.mark.parametrize(("key", "value"), [("slots", 2), ("slots", "many"), ("id", "mine"), ("space", [])])
def test_attribute_edited_while_its_stage_is_trained_is_put_back(key, value):
    """An edit beside a run stops it before the next stage, with the number of trials that was planned."""
    observer, study = Observer(), optuna.load_study(study_name="small/fine", storage=URL)
    observer.on_stage_opened = lambda _, stage: stage.stage_name == "fine" and study.set_user_attr(key, value)
    with pytest.raises(StorageError, match=f"changed the attribute {key} of the study small/fine") as error:
        run(Campaign.load("small.toml"), observer=observer)
    put_back(str(error.value))
    status = run(Campaign.load("small.toml"))
    assert (status.state, [stage.completed for stage in status.stages]) == ("done", [8, 5, 4])


def test_several_edits_are_one_message():
    """All edited and deleted attributes of a study are in one message, and one command puts them back."""
    before = attributes()
    execute("DELETE FROM study_user_attributes WHERE key = 'stage' AND study_id = 2")
    execute("UPDATE study_user_attributes SET value_json = '0' WHERE key = 'carried' AND study_id = 2")
    message = resumed()
    assert "changed the attributes carried and stage of the study small/fine: carried was [{" in message
    assert "; stage was 'fine', now None. To put them back" in message
    put_back(message)
    assert attributes() == before


def test_damaged_attribute_is_put_back(cli):
    """An attribute that is no JSON any more is named like one that was edited, and put back."""
    before = attributes()
    execute("UPDATE study_user_attributes SET value_json = '{\"epochs' WHERE key = 'config' AND study_id = 1")
    message = resumed()
    assert "config was {" in message
    assert message in cli("status")[2].replace("\n", " ")
    put_back(message)
    assert attributes() == before


def test_list_that_grew_is_put_back():
    """What Coarsefine added to a study after it was opened is put back, too: here an accepted change of versions."""
    with closing(open_storage(locate("studies.db"), writing=True)) as storage:
        storage.accept_versions([1, 2], {"versions": {"numpy": "1.0"}})
    before = attributes()
    optuna.load_study(study_name="small/coarse", storage=URL).set_user_attr("accepted_versions", "mine")
    message = resumed()
    assert "accepted_versions was [{'time': " in message
    put_back(message)
    assert attributes() == before


def test_deleted_final_training_is_not_repeated(searched):
    """If the final training of the network is deleted, the winner is not trained again: its result is put back."""
    shutil.copy(searched / "studies.db", ".")
    before = attributes()
    execute("DELETE FROM study_user_attributes WHERE key = 'final'")
    shutil.copy(searched / "small.toml", ".")
    message = resumed()
    assert "changed the attribute final of the study small/fine: final was {" in message
    put_back(message)
    assert attributes() == before
    assert run(Campaign.load("small.toml")).state == "done"


def test_nothing_is_added_to_an_edited_study():
    """Trials of a campaign are not put back while an attribute is edited, since a retry would be added to it."""
    study = optuna.load_study(study_name="small/coarse", storage=URL)
    study.set_user_attr("retried", "often")
    with pytest.raises(StorageError, match=r"retried was \[\], now 'often'"):
        retry("small")
    assert optuna.load_study(study_name="small/coarse", storage=URL).user_attrs["retried"] == "often"


def test_edit_of_the_code_is_put_back_by_a_short_command():
    """Of edited user code, only what differs is in the command, and not its text, which stays."""
    before = attributes()
    study = optuna.load_study(study_name="small/coarse", storage=URL)
    study.set_user_attr("objective", {**study.user_attrs["objective"], "digest": "0"})
    message = resumed()
    assert len(message) < 1000
    put_back(message)
    assert attributes() == before


def test_copy_is_no_campaign(cli):
    """A copy of a stage's study under a name like a stage's of another campaign is not listed as a campaign."""
    url = URL
    optuna.copy_study(
        from_study_name="small/coarse", from_storage=url, to_storage=url, to_study_name="copy/coarse"
    )  # fmt: skip
    _, printed, error = cli("list", "--json")
    assert ([each["campaign"] for each in json.loads(printed)["campaigns"]], error) == (["small"], "")
    assert "The study copy/coarse is a copy of small/coarse. It is left out." in cli("status")[2].replace("\n", " ")


def test_edited_stage_of_an_earlier_version_is_named():
    """A study that an earlier version wrote, without the copy of its attributes, is known by its name."""
    execute(FORGET_SEAL)
    optuna.load_study(study_name="small/coarse", storage=URL).set_user_attr("stage", "mine")
    assert "changed the attribute stage of the study small/coarse: stage was 'coarse', now 'mine'." in resumed()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trial_user_attributes SET value_json = '17' WHERE key = 'seed' AND trial_id = 2",
        "UPDATE trial_params SET param_value = 0.5 WHERE trial_id = 2 AND param_name = 'a'",
    ],
)
def test_slot_with_another_seed_or_point_is_named(statement):
    """A slot whose seed or point was changed stops the run, even if it could have been planned so."""
    execute(statement)
    assert "Another program changed the point or the seed of trial 1 of small/coarse." in resumed()


def test_changed_labels_change_nothing(cli):
    """Another name or direction of the values is named once; the campaign goes on as planned."""
    study = optuna.load_study(study_name="small/coarse", storage=URL)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["mine"])
    execute("UPDATE study_directions SET direction = 'MINIMIZE' WHERE study_id = 1")
    notes, observer = [], Observer()
    observer.on_warning = notes.append
    run(Campaign.load("small.toml"), observer=observer)
    assert [note.partition(":")[2].partition(":")[0] for note in notes] == [
        " another program, such as Optuna, named the values 'mine' instead of 'value'",
        " another program changed the direction of the values from maximize to minimize",
    ]
    error = cli("status")[2].replace("\n", " ")
    assert all(note in error for note in notes)
