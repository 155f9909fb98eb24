"""Test runs while other programs delete, rename, end and add studies and trials, by plain calls of Optuna."""

import functools
import re
import shlex
import shutil
import sqlite3
from contextlib import chdir, closing

import pytest
from campaigns import write_campaign
from command_campaigns import command
from commands import coarsefine
from other_programs import Hands, Meddler, Waiting
from serving import serving
from stored import table

from coarsefine import Campaign, CampaignError, Observer, StorageError, run
from coarsefine.search.engine.join import join
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import create_storage, open_storage

OF_OPTUNA = {
    "objective": "optuna_objectives:objective",
    "stage": {"coarse": {"trials": 4, "space": {"x": {"uniform": [0.0, 1.0]}, "kind": {"choice": ["None", "other"]}}},
              "fine": {"trials": 3, "narrow": {"top": 2}}},
    "confirm": None, "final": {"seeds": 2},
}  # fmt: skip
"""Changes after which the campaign searches an Optuna objective, and trains its winner again."""
OF_COMMAND = {
    "objective": None, "command": command(), "confirm": None,
    "stage": {"coarse": {"trials": 4, "space": {"a": [0.001, 1.0]}}, "fine": {"trials": 3, "narrow": {"top": 2}}},
}  # fmt: skip
CHANGES = {"optuna": OF_OPTUNA, "command": OF_COMMAND}
"""Changes of the small function's campaign, by the name of the base."""
ROUNDS = [
    ("small", ("coarse opened", "fine progress")), ("small", ("coarse claimed", "fine opened")),
    ("small", ("coarse recorded", "final epoch")),
    ("objective", ("coarse opened", "fine claimed", "confirm recorded")),
    ("objective", ("coarse progress", "fine recorded", "confirm opened")), ("objective", ("confirm claimed",)),
    ("optuna", ("coarse claimed", "fine recorded", "final opened")),
    ("optuna", ("coarse opened", "fine opened", "final claimed")), ("optuna", ("final recorded",)),
    ("command", ("coarse opened", "fine recorded")), ("command", ("coarse claimed", "fine opened")),
]  # fmt: skip
"""Campaigns, and moments of a run of each, one in a stage."""
ALL = [(base, moment) for base, moments in ROUNDS for moment in moments]
SLOTS = {
    "small": {"small/coarse": 9, "small/fine": 6},
    "objective": {"small/coarse": 8, "small/fine": 5, "small/confirm": 4},
    "halving": {"small/coarse": 12, "small/fine": 12},
    "optuna": {"small/coarse": 4, "small/fine": 3, "small/final": 2},
    "command": {"small/coarse": 4, "small/fine": 3},
}
RESTORE = re.compile(r"`python -c (.*?)`, then run the same command again")


class Undisturbed:
    """A campaign that was run to its end: its table, and a copy of its database from when each stage had opened."""

    def __init__(self, folder, base):
        self._folder, campaign = folder, campaign_in(folder, base)
        observer = Observer()
        observer.on_stage_opened = lambda _, stage: self._copy(stage.stage_name)
        run(campaign, folder / "studies.db", observer=observer)
        self.table = table(folder / "studies.db")

    def _copy(self, stage):
        with closing(sqlite3.connect(self._folder / "studies.db")) as connection:
            connection.execute("VACUUM INTO ?", (str(self._folder / f"{stage}.db"),))

    def begin(self, folder, moment):
        """Copy the database from when the stage of a moment had opened, so that a run begins there."""
        stage = moment.partition(" ")[0]
        if stage != "coarse":
            shutil.copy(self._folder / f"{'fine' if moment == 'final epoch' else stage}.db", folder / "studies.db")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Return a function that returns an undisturbed campaign."""
    return functools.cache(lambda base: Undisturbed(tmp_path_factory.mktemp(base), base))


def campaign_in(folder, base):
    changes = CHANGES.get(base)
    return Campaign.load(write_campaign(folder, "objective" if changes else base, **(changes or {})) / "small.toml")


def disturbed(campaign, address, act, *moments, workers=1):
    """Run a campaign while another program acts at some moments; return the status and the observer."""
    hands = address if isinstance(address, Hands) else Hands(address)
    address, observer = hands.address, Meddler(moments, getattr(hands, act), getattr(hands, "claim", None))
    try:
        status = run(campaign, address, workers=workers, observer=observer, stop=observer.stop)
    finally:
        assert observer.acted
        hands.close()
    return status, observer


def outcome(*arguments, **options):
    """Run a disturbed campaign; return its status and observer, or None and the message of a `StorageError`."""
    try:
        return disturbed(*arguments, **options)
    except StorageError as error:
        return None, str(error)


def own(rows, base):
    """Return the rows of the slots, without those of trials that another program added."""
    return {(study, number): row for (study, number), row in rows.items() if number < SLOTS[base].get(study, 0)}


def counts(status):
    return {stage.study: stage.completed + stage.failed + stage.pruned + stage.diverged for stage in status.stages}


def restore(error, folder):
    """Run the command that a message gives to put a study back."""
    (quoted,) = RESTORE.findall(str(error))
    (script,) = shlex.split(quoted)
    with chdir(folder):
        exec(script, {})  # noqa: S102 - as `python -c` does, without another process


@pytest.mark.parametrize(("base", "moments"), ROUNDS)
def test_trials_and_studies_of_others_change_nothing(tmp_path, undisturbed, base, moments):
    """Whatever Optuna adds, at any moment, is left alone and named once; the campaign records the same values."""
    place = tmp_path / "studies.db"
    undisturbed(base).begin(tmp_path, moments[0])
    status, observer = disturbed(campaign_in(tmp_path, base), place, "add", *moments)
    assert status.state == "done"
    assert counts(status) == SLOTS[base]
    assert own(table(place), base) == undisturbed(base).table
    named = [sentence for sentence in observer.warnings if "another program" in sentence]
    assert len(named) == len(moments)
    assert all(int(last) - int(first) == 3 for s in named for first, last in re.findall(r"trials (\d+) to (\d+)", s))
    assert [s for s in observer.warnings if "small/own" in s] == [
        "The study small/own was not made by Coarsefine: it is left alone."
    ]
    answer = coarsefine("status", "--json", cwd=tmp_path)
    assert answer.returncode == 0
    assert all(sentence in answer.stderr.replace("\n", " ") for sentence in named)


@pytest.mark.parametrize(("base", "moment"), ALL)
def test_deleted_study_ends_the_run(tmp_path, undisturbed, base, moment):
    """A study that is deleted, at any moment, ends the run with exit code 5 and its name; nothing is trained again."""
    undisturbed(base).begin(tmp_path, moment)
    place, campaign = tmp_path / "studies.db", campaign_in(tmp_path, base)
    with pytest.raises(StorageError, match="Another program, such as Optuna, deleted the study small/") as error:
        disturbed(campaign, place, "delete", moment)
    assert error.value.exit_code == 5
    (deleted,) = re.findall(r"the study (\S+)\.", str(error.value))
    if moment != "final epoch":
        assert "No backup holds it: start the campaign under another name or --storage." in str(error.value)
    if deleted != "small/coarse":  # else nothing is left of the campaign
        after = table(place)
        with pytest.raises(StorageError, match=f"deleted the study {deleted}"):
            run(campaign, place)
        assert table(place) == after


@pytest.mark.parametrize(("base", "moment"), [("small", "final epoch"), ("objective", "confirm recorded")])
def test_deleted_study_is_put_back_from_its_backup(tmp_path, undisturbed, base, moment):
    """The command of the message puts a deleted study back, and the same run then ends with the same values."""
    place, campaign = tmp_path / "studies.db", campaign_in(tmp_path, base)
    hands = Hands(place)
    observer = Meddler([moment], lambda: hands.delete("small/fine"))
    with pytest.raises(StorageError, match=r"studies\.db-backups/small\+(fine|confirm)\.db") as error:
        run(campaign, place, observer=observer)
    hands.close()
    assert coarsefine("status", cwd=tmp_path).returncode == 0
    restore(error.value, tmp_path)
    status = run(campaign, place)
    assert status.state == "done"
    assert table(place) == undisturbed(base).table


@pytest.mark.parametrize(
    ("base", "moment"), [("small", "coarse claimed"), ("objective", "coarse progress"), ("small", "final epoch")]
)
def test_renamed_study_ends_the_run_with_its_new_name(tmp_path, undisturbed, base, moment):
    """A study that is renamed ends the run with its new name; the command of the message gives it back its name."""
    place, campaign = tmp_path / "studies.db", campaign_in(tmp_path, base)
    with pytest.raises(StorageError, match=r"Another program renamed the study small/\w+ to mine") as error:
        disturbed(campaign, place, "rename", moment)
    assert coarsefine("status", cwd=tmp_path).returncode in {0, 5}
    with pytest.raises(StorageError, match=r"Another program renamed the study small/\w+ to mine"):
        run(campaign, place)
    restore(error.value, tmp_path)
    assert run(campaign, place).state == "done"
    assert table(place) == undisturbed(base).table


@pytest.mark.parametrize(("base", "moments"), [pair for pair in ROUNDS if "final epoch" not in pair[1]])
def test_slots_that_another_program_ended_count_as_failed(tmp_path, undisturbed, base, moments):
    """A slot that a dashboard ends is named once and counts as failed, whatever its value; it is not trained again."""
    undisturbed(base).begin(tmp_path, moments[0])
    place = tmp_path / "studies.db"
    status, observer = disturbed(campaign_in(tmp_path, base), place, "tell", *moments)
    assert status.state == "done"
    assert counts(status) == SLOTS[base]
    told = [key for key, row in table(place).items() if row[2] == [1e9]]
    named = [sentence for sentence in observer.warnings if "set the state" in sentence]
    assert len(named) == len(told) <= len(moments)
    for study, number in told:
        said = f"{study}: another program, such as Optuna's dashboard, set the state of trial {number}: it counts"
        assert any(sentence.startswith(said) for sentence in named)
        stage = next(stage for stage in status.stages if stage.study == study)
        assert stage.failed == 1
        assert stage.failure == (number, "another program set it to COMPLETE with the value 1e+09")
    assert status.winner is None or status.winner.value < 3


def test_slot_that_another_program_ended_can_be_retried(tmp_path, undisturbed):
    """`coarsefine retry` puts a slot back that a dashboard ended; it is then trained to the same values."""
    place, campaign = tmp_path / "studies.db", campaign_in(tmp_path, "objective")
    disturbed(campaign, place, "tell", "coarse opened")
    answer = coarsefine("retry", "small", "coarse#7", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert counts(run(campaign, place)) == SLOTS["objective"]
    key = ("small/coarse", 7)
    assert table(place)[key] == undisturbed("objective").table[key]


@pytest.mark.parametrize("moment", ["coarse opened", "coarse progress", "confirm opened", "confirm claimed"])
def test_study_that_optuna_optimizes_keeps_its_number_of_trials(tmp_path, moment):
    """Slots that `study.optimize` takes count as failed, whatever it returns; each slot is counted once."""
    place = tmp_path / "studies.db"
    status, observer = disturbed(campaign_in(tmp_path, "objective"), place, "optimize", moment)
    assert status.state == "done"
    assert counts(status) == SLOTS["objective"]
    taken = [key for key, row in table(place).items() if row[2] and row[2][0] >= 1e9]
    assert len(taken) == 1
    assert sum(stage.failed for stage in status.stages) == sum(number < SLOTS["objective"][s] for s, number in taken)
    assert sum("another program" in sentence for sentence in observer.warnings) == 1
    assert status.winner is None or status.winner.value < 2


@pytest.mark.parametrize(
    ("act", "moment", "message"),
    [
        ("replace", "coarse opened", "Another program, such as Optuna, deleted the study small/coarse"),
        ("replace", "coarse claimed", "Another program, such as Optuna, deleted the study small/coarse"),
        ("replace", "fine recorded", "Another program, such as Optuna, deleted the study small/fine"),
        ("make_next", "coarse recorded", "The study small/fine in this storage was not made by Coarsefine"),
    ],
)
def test_study_of_others_with_the_name_of_a_stage_ends_the_run(tmp_path, act, moment, message):
    """A study of another program that takes a stage's name, before or after it opens, is refused and left alone."""
    place, campaign = tmp_path / "studies.db", campaign_in(tmp_path, "small")
    with pytest.raises((StorageError, CampaignError), match=message):
        disturbed(campaign, place, act, moment)
    before = table(place)
    with pytest.raises(CampaignError, match="was not made by Coarsefine"):
        run(campaign, place)
    assert table(place) == before


@pytest.mark.parametrize("act", ["ask", "reset"])
@pytest.mark.parametrize(
    ("base", "moment"), [("small", "coarse opened"), ("small", "coarse claimed"), ("objective", "coarse opened")]
)
def test_slots_that_optuna_takes_or_resets_are_trained_once(tmp_path, undisturbed, base, moment, act):
    """A slot that `study.ask()` took, or that is set WAITING while it trains, is trained to the same values."""
    place = tmp_path / "studies.db"
    status, _ = disturbed(campaign_in(tmp_path, base), place, act, moment)
    assert status.state == "done"
    assert own(table(place), base) == undisturbed(base).table


@pytest.mark.parametrize("act", ["add", "tell", "delete"])
def test_other_programs_at_a_rung(tmp_path, undisturbed, act):
    """A worker that waits at a rung for a slot of another worker neither hangs nor prunes others."""
    place, campaign = tmp_path / "studies.db", campaign_in(tmp_path, "halving")
    create_storage(locate(place)).close()
    with closing(open_storage(locate(place), writing=True)) as other:
        hands = Waiting(place, other)
        status, news = outcome(campaign, hands, act, "waiting")
    if act == "delete":
        assert "deleted the study small/coarse" in news
    else:
        assert counts(status) == SLOTS["halving"]
        assert act == "tell" or own(table(place), "halving") == undisturbed("halving").table


@pytest.mark.parametrize("act", ["add", "tell"])
def test_additions_beside_two_workers(tmp_path, address, undisturbed, act):
    """With two workers, on each database, what others add or end is named once, and every slot is counted once."""
    status, observer = disturbed(campaign_in(tmp_path, "small"), address, act, "fine opened", workers=2)
    assert counts(status) == SLOTS["small"]
    rows = table(address)
    acted = act == "add" or any(row[2] == [1e9] for row in rows.values())  # the workers may have ended every slot
    assert len([sentence for sentence in observer.warnings if "another program" in sentence]) == acted
    assert act == "tell" or own(rows, "small") == undisturbed("small").table


@pytest.mark.parametrize("act", ["delete", "rename"])
def test_lost_study_beside_two_workers(tmp_path, address, act):
    """With two workers, on each database, a lost study ends the run; a server's backup is its administrator's."""
    _, message = outcome(campaign_in(tmp_path, "small"), address, act, "fine progress", workers=2)
    assert f"Another program{', such as Optuna, deleted' * (act == 'delete')}" in message
    assert ("Restore it from a backup" in message) == (str(address).startswith("postgresql") and act == "delete")


def test_worker_that_joins_meets_a_deleted_study(tmp_path):
    """`worker` ends with the same error, and says once what others added."""
    place, campaign = tmp_path / "studies.db", campaign_in(tmp_path, "small")
    create_storage(locate(place)).close()
    hands = Hands(place)
    observer = Meddler(["fine recorded"], hands.delete)
    with pytest.raises(StorageError, match="deleted the study small/fine"):
        join(campaign, place, observer=observer)
    hands.close()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM trials WHERE trial_id IN (4, 5)", "deleted trials 3 to 4 of the 9 of small/coarse"),
        (
            "DELETE FROM trial_user_attributes WHERE key = 'seed' AND trial_id = 2",
            "deleted trial 1 of the 9 of small/coarse",
        ),
        (
            "UPDATE trial_user_attributes SET value_json = '\"a\"' WHERE key = 'seed' AND trial_id = 2",
            "changed the point or the seed of trial 1 of small/coarse",
        ),
        (
            "UPDATE trial_params SET param_value = 7 WHERE trial_id = 2",
            "changed the point or the seed of trial 1 of small/coarse",
        ),
    ],
)
def test_lost_slots_stop_the_run(tmp_path, statement, message):
    """Slots that are deleted, or have another point or seed, stop the run; the command in the message restores them."""
    place, campaign = tmp_path / "studies.db", campaign_in(tmp_path, "small")

    def execute():
        with closing(sqlite3.connect(place, timeout=60)) as connection, connection:
            connection.execute(statement)

    with pytest.raises(StorageError, match=message) as error:
        run(campaign, place, observer=Meddler(["fine opened"], execute))
    with pytest.raises(StorageError, match=message):
        run(campaign, place)
    assert message in coarsefine("status", cwd=tmp_path).stderr.replace("\n", " ")
    restore(error.value, tmp_path)
    assert counts(run(campaign, place)) == SLOTS["small"]


@pytest.mark.parametrize("act", ["add", "rename", "delete"])
def test_pages_and_commands_after_other_programs(tmp_path, act):
    """After a campaign has ended, every command and the API still answer, and say what happened."""
    place, campaign = tmp_path / "studies.db", campaign_in(tmp_path, "objective")
    run(campaign, place)
    hands = Hands(place)
    getattr(hands, act)(*(() if act == "add" else ("small/coarse",)))
    hands.close()
    for words in (("status",), ("best",), ("best", "--json"), ("report", "--output", "report.html")):
        answer = coarsefine(*words, cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr
    problem = {
        "add": "small/confirm: another program, such as Optuna, added trials 4 to 7",
        "rename": "Another program renamed the study small/coarse to mine.",
        "delete": "Another program, such as Optuna, deleted the study small/coarse.",
    }[act]
    assert problem in coarsefine("status", cwd=tmp_path).stderr.replace("\n", " ")
    with serving(place) as client:
        answer = client.get("/api/v1/campaigns/small").json()
        assert any(problem in sentence for sentence in answer["problems"])
        assert [stage["trials"] for stage in answer["stages"]] == [8, 5, 4]
        for path in ("/best", "/figures/map", "/figures/best-so-far", "/figures/losses", "/stages/fine/trials"):
            assert client.get(f"/api/v1/campaigns/small{path}").status_code == 200, path
