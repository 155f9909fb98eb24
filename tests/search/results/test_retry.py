"""Test `coarsefine retry`: which trials wait again, what is kept of them, and what the next run makes of them."""

import hashlib
import json
import os
import re
import sqlite3
from contextlib import closing

import optuna
import pytest
from campaigns import write_campaign
from forked import forked_command
from stored import table

from coarsefine import Campaign, NothingCompleted, RepeatedFailure, StorageError, UsageError, read_export, retry, run

BUGGY = """\
import os

import user_functions


def train(point, seed, report):
    if os.environ.get("BUG") == "all" or (os.environ.get("BUG") and int(point["a"] * 1e6) % 3 == 0):
        raise ValueError("a bug")
    return user_functions.single(point, seed, report)
"""
ONE_STAGE = {"fine": None}
HALVING = {"pruner": "halving", "rungs": [1, 3]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the working directory, which contains a function with a bug that an environment variable turns on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("BUG", raising=False)
    (tmp_path / "buggy.py").write_text(BUGGY, "utf-8")
    return tmp_path


@pytest.fixture
def search(folder, monkeypatch):
    """Return a function that runs the campaign, with a bug in some or all of its trials or with none."""

    def searched(bug="", **changes):
        monkeypatch.setenv("BUG", bug)
        changes = {"objective": "buggy:train", "max_failures": 100, **changes}
        if changes["max_failures"] is None:
            del changes["max_failures"]
        write_campaign(folder, "objective", **changes)
        return run(Campaign.load("small.toml"))

    return searched


def trials(stage="coarse"):
    """Return a stage's trials as Optuna reads them."""
    return optuna.load_study(study_name=f"small/{stage}", storage="sqlite:///studies.db").trials


def failed(stage="coarse"):
    return [trial.number for trial in trials(stage) if trial.state.name == "FAIL"]


def attribute(stage, key):
    """Return an attribute of a stage's study."""
    return optuna.load_study(study_name=f"small/{stage}", storage="sqlite:///studies.db").user_attrs[key]


def test_retried_trials_end_as_if_they_had_not_failed(folder, search, tmp_path_factory):
    """After the bug is fixed, the failed trials are trained under their numbers, points and seeds, and no other."""
    changes = {"stage": {"coarse": {"trials": 12}, **ONE_STAGE}, "confirm": None}
    search(bug="some", **changes)
    before, lost = table(folder / "studies.db"), failed()
    assert 0 < len(lost) < 12
    assert retry("small").stages[0].trials == tuple(lost)
    assert search(**changes).state == "done"
    after = table(folder / "studies.db")
    os.chdir(tmp_path_factory.mktemp("expected"))
    assert all(after[key] == row for key, row in before.items() if key[1] not in lost)
    (folder / "studies.db").unlink()
    os.chdir(folder)
    search(**changes)
    assert after == table(folder / "studies.db")


def test_retried_trial_waits_as_a_new_one(search, folder):
    """Optuna sees a waiting trial without values, start and end; the earlier failure and the attempts stay."""
    search(bug="some", stage=ONE_STAGE, confirm=None)
    number = failed()[0]
    reason = trials()[number].user_attrs["reason"]
    retried = retry(trials=[("coarse", number)])
    assert [(stage.name, stage.trials, stage.opened) for stage in retried.stages] == [("coarse", (number,), ())]
    trial = trials()[number]
    assert trial.state.name == "WAITING"
    assert (trial.values, trial.intermediate_values) == (None, {})
    assert (trial.datetime_start, trial.datetime_complete) == (None, None)
    assert trial.user_attrs.keys() == {"seed", "earlier_failures"}
    (failure,) = trial.user_attrs["earlier_failures"]
    assert (failure["reason"], failure["epochs"], failure["retry"]) == (reason, 0, 1)
    assert attribute("coarse", "retried")[0]["trials"] == [number]
    with closing(sqlite3.connect(folder / "studies.db")) as connection:
        rows = connection.execute("SELECT attempt, owner, deaths FROM lease WHERE trial_id = ?", [trial._trial_id])
        assert rows.fetchall() == [(1, "", 0)]


def test_storage_must_exist_and_may_be_without_leases(search, folder):
    """A storage that does not exist is refused and not made; one without leases, as Optuna copies it, is fine."""
    with pytest.raises(StorageError):
        retry("small", "other.db")
    assert not (folder / "other.db").exists()
    search(bug="some", stage=ONE_STAGE, confirm=None)
    with closing(sqlite3.connect(folder / "studies.db")) as connection:
        connection.execute("DROP TABLE lease")
    lost = failed()
    assert retry("small").stages[0].trials == tuple(lost)


def test_trial_can_be_retried_again(search):
    """A trial that fails again after a retry keeps both reasons, and can be retried once more."""
    search(bug="some", stage=ONE_STAGE, confirm=None)
    number = failed()[0]
    retry()
    search(bug="some", stage=ONE_STAGE, confirm=None)
    retry()
    search(stage=ONE_STAGE, confirm=None)
    trial = trials()[number]
    assert trial.state.name == "COMPLETE"
    assert [failure["retry"] for failure in trial.user_attrs["earlier_failures"]] == [1, 2]


def test_campaign_without_a_completed_trial_goes_on_under_its_name(search):
    """A campaign whose every trial failed runs to its end after a retry; the error names both commands."""
    with pytest.raises(NothingCompleted) as error:
        search(bug="all")
    assert "`coarsefine retry small` and `coarsefine run small --accept-changes`" in str(error.value)
    retry("small")
    status = search()
    assert [(stage.completed, stage.trials) for stage in status.stages] == [(8, 8), (5, 5), (4, 4)]


def test_later_stages_keep_what_follows_from_the_stage(search):
    """A stage whose ranges came from the stage before a retry keeps them and its trials, and the retry notes it."""
    search(bug="some")
    ranges, points = attribute("fine", "space"), [trial.params for trial in trials("fine")]
    number = failed()[0]
    retried = retry("small", trials=[("coarse", number)])
    assert retried.stages[0].opened == ("fine", "confirm")
    assert attribute("coarse", "retried")[0]["opened"] == ["fine", "confirm"]
    search()
    assert trials()[number].state.name == "COMPLETE"
    assert (attribute("fine", "space"), [trial.params for trial in trials("fine")]) == (ranges, points)


BETTER = "    if os.environ.get('BETTER'):\n        return [report(2.0) for _ in range(report.epochs)] and None\n"


def test_winner_of_user_code_stays_once_it_is_trained_again(search, folder):
    """Once [final] trains the winner, failed trials of other stages are retried, and the winner stays the same."""
    changes = {"stage": ONE_STAGE, "confirm": None, "final": {"seeds": 2}}
    (folder / "buggy.py").write_text(BUGGY.replace("    return", f"{BETTER}    return"), "utf-8")
    before = search(bug="some", **changes)
    lost = failed()
    assert [(stage.trials, stage.opened) for stage in retry("small").stages] == [(tuple(lost), ("final",))]
    os.environ["BETTER"] = "1"
    try:
        after = search(**changes)
    finally:
        del os.environ["BETTER"]
    assert after.stages[0].best[0].number in lost
    assert (after.state, after.winner.number, after.final_runs) == ("done", before.winner.number, before.final_runs)


def test_finalists_are_not_retried_once_their_winner_is_trained_again(search, folder, cli):
    """Once [final] is open, failed trials of [confirm] are left and counted, refused if named, and not offered."""
    fails = "    assert report.folder.name not in ('confirm-3', 'final-0')\n"
    (folder / "buggy.py").write_text(BUGGY.replace("    return", f"{fails}    return"), "utf-8")
    search(stage=ONE_STAGE, final={"seeds": 2})
    assert (failed("confirm"), failed("final")) == ([3], [0])
    assert " retry small   (puts 1 failed trial back)" in cli("status")[1]
    code, out, error = cli("retry", "small")
    assert (code, error) == (0, "")
    assert out.splitlines()[:2] == [
        "small/final: trial 0 waits again.",
        "  1 failed trial of finalists stays so: the winner among these is trained again.",
    ]
    (folder / "buggy.py").write_text(BUGGY, "utf-8")
    run(Campaign.load("small.toml"), accept_changes=True)
    assert " retry " not in cli("status")[1]
    for named in ([], ["confirm#3"]):
        code, _, error = cli("retry", "small", *named)
        assert code == 2
        assert error == (
            "The winner of small was chosen by the values of small/confirm, and is trained again in small/final: "
            "trials of small/confirm can no longer be retried. Failed trials of other stages can. To choose again, "
            "start the campaign under another name.\n"
        )


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (("coarse", 99), r"There is no trial coarse#99 in small: it has coarse#0 to #7"),
        (("coarser", 1), r"There is no trial coarser#1 in small"),
    ],
)
def test_trial_that_does_not_exist_is_refused(search, named, message):
    """A trial that the campaign does not have is refused with those that it has."""
    search(bug="some", stage=ONE_STAGE, confirm=None)
    with pytest.raises(UsageError, match=message):
        retry("small", trials=[named])


def test_trial_that_has_not_failed_is_refused_with_all_others(search, folder):
    """A trial that completed or waits is refused, and then no other trial is put back."""
    search(bug="some", stage=ONE_STAGE, confirm=None)
    before = table(folder / "studies.db")
    lost = failed()
    done = next(number for number in range(8) if number not in lost)
    with pytest.raises(UsageError, match=rf"Trial coarse#{done} of small completed: only failed trials can be retried"):
        retry("small", trials=[("coarse", lost[0]), ("coarse", done)])
    assert table(folder / "studies.db") == before
    retry("small")
    with pytest.raises(UsageError, match=rf"Trial coarse#{lost[0]} of small waits already"):
        retry("small", trials=[("coarse", lost[0])])
    with pytest.raises(UsageError, match="No trial of small has failed: there is nothing to retry"):
        retry("small")


def test_export_has_the_code_before_and_after_a_retry(search, folder, cli):
    """After a retry with fixed code, the export has both versions with their texts and trials; JSON has the counts."""
    search(bug="some", stage=ONE_STAGE, confirm=None)
    lost = failed()
    kept = [number for number in range(8) if number not in lost]
    retry()
    fixed = BUGGY.replace("% 3 == 0", "% 3 == 4")
    (folder / "buggy.py").write_text(fixed, "utf-8")
    assert run(Campaign.load("small.toml"), accept_changes=True).state == "done"
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in (BUGGY, fixed)]
    for named in (f"coarse#{lost[0]}", f"coarse#{kept[0]}"):
        code, _, error = cli("export", "--trial", named, "--output", "it.json")
        assert code == 0, error
        versions = read_export("it.json").sources
        assert [(v.digest, v.source) for v in versions] == [*zip(digests, (BUGGY, fixed), strict=True)]
        assert [v.trials for v in versions] == [{"coarse": kept}, {"coarse": lost}]
        assert (versions[0].accepted, versions[1].accepted is None) == (None, False)
        code, _, error = cli("train", "it.json", "--output", named)
        assert code == 0, error
        assert (f"trained with version {digests[0][:12]} of its code" in error) == (named == f"coarse#{kept[0]}")
    counts = [(digest, len(numbers)) for digest, numbers in zip(digests, (kept, lost), strict=True)]
    for command in ("status", "best"):
        shown = json.loads(cli(command, "--json")[1])["sources"]
        assert [(version["digest"], version["trials"]) for version in shown] == counts


def test_diverged_trials_are_retried_if_asked_for(search, folder):
    """Trials that diverged are left as they are unless they are asked for."""
    (folder / "buggy.py").write_text("def train(point, seed, report):\n    return float('nan')\n", "utf-8")
    changes = {"stage": {"coarse": {"trials": 2}, **ONE_STAGE}, "confirm": None, "epochs": None}
    with pytest.raises(NothingCompleted, match="`coarsefine retry small --diverged`"):
        search(**changes)
    with pytest.raises(UsageError, match="; 2 diverged, which --diverged retries, too: there is nothing to retry"):
        retry("small")
    assert retry("small", diverged=True).stages[0].trials == (0, 1)


def test_winner_that_was_trained_is_final(copied):
    """Once the winner's final training is recorded, no trial can be retried."""
    with pytest.raises(UsageError, match=r"No trial of small has failed; \d diverged: there is nothing to retry"):
        retry("small", copied)
    with closing(sqlite3.connect(copied)) as connection:
        connection.execute("UPDATE trial_user_attributes SET value_json = '\"killed\"' WHERE key = 'reason'")
        connection.commit()
    with pytest.raises(UsageError, match="The winner has been trained and measured"):
        retry("small", copied)


def test_halving_compares_retried_trials_with_what_was_recorded(search, folder):
    """Retried trials continue after a rung if they are among the best there; what was decided before stays decided."""
    changes = {"stage": {"coarse": {"trials": 12, **HALVING}, **ONE_STAGE}, "confirm": None}
    search(bug="some", **changes)
    before, lost = table(folder / "studies.db"), failed()
    assert 0 < len(lost) < 12
    retry("small")
    search(**changes)
    after = table(folder / "studies.db")
    assert {key: row for key, row in after.items() if key[1] not in lost} == {
        key: row for key, row in before.items() if key[1] not in lost
    }
    at_first_rung = sorted((row[3][1] for row in after.values()), reverse=True)
    for number in lost:
        state, _, _, steps, _ = after["small/coarse", number]
        assert state.name in {"COMPLETE", "PRUNED"}
        assert (len(steps) > 1) == (steps[1] >= at_first_rung[5])


def test_retry_of_a_whole_stage_prunes_as_if_nothing_had_failed(search, folder):
    """If all trials of a cohort failed and are retried together, the same trials are pruned as without the failure."""
    changes = {"stage": {"coarse": HALVING, **ONE_STAGE}, "confirm": None}
    with pytest.raises(NothingCompleted):
        search(bug="all", **changes)
    retry("small")
    search(**changes)
    after = table(folder / "studies.db")
    (folder / "studies.db").unlink()
    search(**changes)
    assert after == table(folder / "studies.db")


def test_command_prints_what_waits_and_what_comes_next(search, cli):
    """The command names the trials by stage, what stays as it is, and the command that continues; JSON has the same."""
    search(bug="some")
    lost = failed()
    code, out, error = cli("retry", "small", f"coarse#{lost[0]}")
    assert (code, error) == (0, "")
    assert out.splitlines()[:2] == [
        f"small/coarse: trial {lost[0]} waits again.",
        "  Opened before, and unchanged by their values: fine, confirm.",
    ]
    assert re.fullmatch(r"Next: \S+ run small", out.splitlines()[2])
    code, out, _ = cli("retry", "--json")
    assert code == 0
    stages = {stage["name"]: stage["trials"] for stage in json.loads(out)["stages"]}
    assert stages["coarse"] == lost[1:]
    for words in (["small", "coarse"], ["small", "coarse#x"], ["#3"]):
        code, _, error = cli("retry", *words)
        assert code == 2
        assert "names no trial: give STAGE#NUMBER, such as coarse#7." in error


def test_end_of_a_run_names_the_command_for_its_failures(search, cli):
    """A run that ended with failed trials, and its status, name `retry` with their number; one without does not."""
    changes = {"stage": {"coarse": {"trials": 12}, **ONE_STAGE}, "confirm": None}
    search(bug="some", **changes)
    for command in (("run", "small.toml", "--quiet"), ("status",)):
        _, out, _ = cli(*command)
        line = rf"^(Next: |      )\S+ retry small   \(puts {len(failed())} failed trials? back\)$"
        assert re.search(line, out, re.MULTILINE)
    retry("small")
    search(**changes)
    _, out, _ = cli("run", "small.toml", "--quiet")
    assert " retry small" not in out


def test_repeated_failure_stops_a_run_before_its_stage_is_burnt(search, cli):
    """After three failures in a row with the same cause a run stops, and names cause and commands; the rest waits."""
    with pytest.raises(RepeatedFailure) as error:
        search(bug="all", max_failures=None)
    assert error.value.exit_code == 3
    assert re.fullmatch(
        r"small/coarse: 3 failures in a row with the same cause: ValueError: a bug "
        r"\(buggy\.py, line 8\)\. Log: logs/small/trials/coarse-2\.log\n"
        r"Fix the cause, then run `coarsefine retry small` and `coarsefine run small --accept-changes`; or the "
        r"campaign's file, if it was changed\. If trials may fail like this, raise `max_failures`\.",
        str(error.value),
    )
    assert [trial.state.name for trial in trials()] == ["FAIL"] * 3 + ["WAITING"] * 5
    assert "(stopped, 3 trials failed, " in cli("status")[1]
    retry()
    status = search()
    assert [(stage.completed, stage.trials) for stage in status.stages] == [(8, 8), (5, 5), (4, 4)]


def test_max_failures_may_change(search):
    """`max_failures` may be another one when a campaign resumes: it changes no result."""
    with pytest.raises(RepeatedFailure):
        search(bug="all", max_failures=2)
    assert failed() == [0, 1]
    with pytest.raises(RepeatedFailure):
        search(bug="all", max_failures=1)
    assert failed() == [0, 1, 2]


def test_pool_stops_when_each_of_its_workers_has(folder, monkeypatch):
    """Each worker of a pool stops for itself, is not restarted, and the run ends with 3 when all have stopped."""
    write_campaign(folder, "objective", objective="buggy:train", stage={"coarse": {"trials": 20}})
    monkeypatch.setenv("BUG", "all")
    answer = forked_command("run", "small.toml", "--workers", 2, cwd=folder)
    assert answer.returncode == 3, answer.stderr
    assert len(failed()) == 6
    *before, cause, last = answer.stderr.splitlines()
    (other,) = [line for line in before if line.startswith("worker-")]
    assert re.fullmatch(r"worker-\d stopped after too many failures in a row; the other workers go on\.", other)
    assert cause.startswith(
        "small/coarse: 3 failures in a row with the same cause: ValueError: a bug (buggy.py, line 8)."
    )
    assert "`coarsefine retry small` and `coarsefine run small --accept-changes`; or the campaign's file" in last
