"""Test user functions as objectives: the search, the workers, and functions that fail."""

import io
import json
import pickle
import re
import shutil
import signal
import sqlite3
import sys
import threading
from contextlib import closing, nullcontext, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

import psutil
import pytest
import user_functions
from campaigns import campaign_toml, write_campaign
from forked import forked_command
from processes import kill_repeatedly
from stored import counted, ended, table

from coarsefine import Campaign, CampaignError, Interrupted, NothingCompleted, Observer, join, run

HERE = Path(user_functions.__file__).parent
HALVING = {"pruner": "halving", "rungs": [1, 3]}
ONE_STAGE = {"stage": {"coarse": {"trials": 5}, "fine": None}, "confirm": None}


def searched(folder, function="single", *, module="user_functions", observer=None, stop=lambda: False, **changes):
    """Search a campaign with that function in this process; return its status."""
    write_campaign(folder, "objective", objective=f"{module}:{function}", **changes)
    return run(Campaign.load(folder / "small.toml"), folder / "studies.db", observer=observer, stop=stop)


@pytest.fixture(autouse=True)
def _no_orphans():
    """Check that no process of a function's call is left after a test."""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    yield
    left = [process for process in psutil.Process().children(recursive=True) if process.pid not in before]
    assert [process for process in left if "user_code" in " ".join(process.cmdline())] == []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return the folder and the status of a function's campaign that one worker searched undisturbed."""
    folder = tmp_path_factory.mktemp("expected")
    return folder, searched(folder)


@pytest.fixture(scope="module")
def expected(undisturbed):
    """Return the table of the undisturbed campaign."""
    return table(undisturbed[0] / "studies.db")


@pytest.fixture(scope="module")
def halved(tmp_path_factory):
    """Return the table of the campaign with halving."""
    folder = tmp_path_factory.mktemp("halved")
    searched(folder, stage={"coarse": HALVING})
    return table(folder / "studies.db")


@pytest.fixture
def folder(tmp_path):
    """Return a folder that contains the module of functions."""
    shutil.copy(HERE / "user_functions.py", tmp_path)
    return tmp_path


def test_campaign_of_a_function_ends_with_its_last_stage(undisturbed):
    """A function's campaign has as many trials as planned and a winner, but no final training."""
    folder, status = undisturbed
    assert status.state == "done"
    assert [(stage.completed, stage.trials) for stage in status.stages] == [(8, 8), (5, 5), (4, 4)]
    assert status.final is None
    best = max(trial.value for stage in status.stages for trial in stage.best)
    assert status.winner.confirmed.n == 2
    assert abs(status.winner.value - best) < 0.02
    assert searched(folder) == status


def test_values_are_what_the_function_reports(expected):
    """Each epoch's value is the one that the function reports for the trial's point and seed."""
    for _, point, values, epochs, attrs in expected.values():
        reported = [user_functions.value_after(point, attrs["seed"], epoch) for epoch in range(1, 7)]
        assert list(epochs.values()) == reported
        assert values == reported[-1:]


@pytest.mark.parametrize("halving", [False, True], ids=["plain", "halving"])
def test_batches_record_the_same_values_as_single_trials(tmp_path, expected, halved, halving):
    """A function that trains batches records the same trials and values as one that trains single trials."""
    searched(tmp_path, "several", stage={"coarse": {"stack": 3, **(HALVING if halving else {})}})
    assert table(tmp_path / "studies.db") == (halved if halving else expected)


def test_halving_ends_calls_at_their_rung(tmp_path, halved):
    """A pruned trial's function receives `TrialEnded` from its report; the others train to the end."""
    status = searched(tmp_path, "tidying", stage={"coarse": HALVING})
    assert [stage.pruned for stage in status.stages] == [6, 0, 0]
    rows = table(tmp_path / "studies.db")
    pruned = [f"coarse-{number}" for (_, number), (state, *_) in rows.items() if state.name == "PRUNED"]
    assert sorted(file.parent.name for file in tmp_path.glob("trials/small/*/ended")) == sorted(pruned)
    epochs = sorted(len(values) for (study, _), (_, _, _, values, _) in rows.items() if study == "small/coarse")
    assert epochs == [1] * 4 + [3] * 2 + [6] * 2
    assert rows == halved


def test_resumable_trials_wait_at_a_rung_without_a_process(tmp_path, halved):
    """A resumable function is ended at each rung and called again if its trial survives, and trains no epoch twice."""
    status = searched(tmp_path, "resumes", resumable=True, stage={"coarse": HALVING})
    assert [stage.pruned for stage in status.stages] == [6, 0, 0]
    rows = table(tmp_path / "studies.db")
    assert rows == halved
    logs = [path.read_text("utf-8") for path in tmp_path.glob("logs/small/trials/coarse-*.log")]
    assert sorted(log.count("attempt 1") for log in logs) == [1] * 4 + [2] * 2 + [3] * 2
    trained = sum(len(values) for _, _, _, values, _ in rows.values())
    assert sum(log.count("\nepoch ") for log in printed(tmp_path)) == trained


@pytest.mark.parametrize("differs", [False, True])
def test_resumable_function_may_report_all_epochs_again(tmp_path, halved, differs):
    """Epochs that are reported again stay as they are recorded; a warning says if the values differ."""
    warnings, observer = [], Observer()
    observer.on_warning = warnings.append
    changes = {"resumable": True, "stage": {"coarse": HALVING}, "observer": observer}
    searched(tmp_path, "differs_later" if differs else "single", **changes)
    assert table(tmp_path / "studies.db") == halved
    pattern = r"Trial \d reported 0\.0 in epoch 1 when it was resumed, and 0\.\d+ before, which stays recorded\."
    assert all(re.fullmatch(pattern, warning) for warning in warnings)
    assert bool(warnings) == differs


def test_resumable_trial_that_was_stopped_continues(folder, halved):
    """Killed and stopped runs of a resumable function end with the table of an undisturbed one."""
    write_campaign(folder, "objective", objective="user_functions:resumes", resumable=True, stage={"coarse": HALVING})
    kill_repeatedly(folder, processes=1, kills=5)
    assert table(folder / "studies.db") == halved
    trained = sum(log.count("\nepoch ") for log in printed(folder))
    assert trained <= sum(len(values) for _, _, _, values, _ in halved.values()) + 5


@pytest.mark.parametrize("workers", [1, 2])
def test_resumable_function_that_is_killed_again_and_again(folder, halved, workers):
    """Trials whose processes, servers and workers are killed at many moments end with the undisturbed table."""
    changes = {"objective": "user_functions:dies_and_resumes", "resumable": True, "stage": {"coarse": HALVING}}
    write_campaign(folder, "objective", **changes)
    codes = []
    while not codes or codes[-1] == -signal.SIGKILL:  # with one worker, the run itself is killed
        answer = forked_command("run", "small.toml", "--workers", workers, cwd=folder)
        codes.append(answer.returncode)
    assert codes[-1] == 0, answer.stderr
    assert "exit code" not in answer.stderr
    assert (len(codes) > 1) == (workers == 1)
    assert table(folder / "studies.db") == halved
    reached = [len(values) for (study, _), (*_, values, _) in halved.items() if study == "small/coarse"]
    kills = sum(epoch <= last for last in reached for epoch, _ in user_functions.KILLS)
    assert len([*folder.glob("trials/small/coarse-*/killed*")]) == kills >= 10


def test_two_workers_prune_the_same_trials_as_one(folder, halved):
    """Two workers with trials parked at a rung record the same table as one worker."""
    write_campaign(folder, "objective", stage={"coarse": HALVING})
    answer = forked_command("run", "small.toml", "--workers", 2, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert table(folder / "studies.db") == halved


def printed(folder):
    """Return what each trial of a folder's campaign has printed."""
    return [path.read_text("utf-8") for path in folder.glob("logs/small/trials/*.log")]


BAD = {
    "raises": r"ValueError: no such kernel: linaer \(user_functions.py, line \d+\)",
    "asks_for_another_parameter": r"KeyError: 'gamma' \(user_functions.py, line \d+\); the point has a, shape",
    "asks_each_for_another_parameter": r"KeyError: 'gamma' \(user_functions.py, line \d+\); the point has a, shape",
    "asks_for_a_variable": r"KeyError: 'NO_SUCH_VARIABLE' \(user_functions.py, line \d+\)",
    "raises_after_its_last_epoch": r"OSError: cannot save \(user_functions.py, line \d+\)",
    "exits": r"SystemExit: 3 \(user_functions.py, line \d+\)",
    "reports_too_often": "reported more than 6 times, and `epochs` is 6: have it report as often as "
    "`report.epochs` says, or set `epochs` to the number of reports that it makes",
    "returns_too_early": "returned after 1 report, and `epochs` is 6: have it report as often as `report.epochs` says, "
    "or set `epochs` to 1",
    "returns_another_value": r"returned 1\.\d+, which is not what it reported last: return that, or nothing",
    "returns_nothing": "its value of epoch 6 is None, no number",
    "reports_text": "its value of epoch 1 is '0.5', no number",
    "reports_nan": "diverged in epoch 2: its value is nan",
    "never_returns": "neither reported nor returned within 0.2 s: give it a longer `timeout` in the campaign's file "
    "and run that file, or have it report more often",
    "reports_too_few": r"its values of epoch 1 are \[0.5\], where 5 trials are in",
    "reports_a_dict": r"its values of epoch 1 are \{0: 0.5, .*\}, where 5 trials are in",
    "reports_no_list": "its values of epoch 1 are 0.5, where 5 trials are in",
}


@pytest.mark.parametrize("function", BAD)
def test_bad_function_fails_its_trials_with_the_reason(tmp_path, made_file, function):
    """The trials of a bad function FAIL with the reason, the stage ends, and the run prints the last reason."""
    shutil.copy(made_file, tmp_path / "studies.db")
    most = 100 if function != "reports_nan" else 1  # trials that diverge do not count
    timeout = 0.2 if function == "never_returns" else 60
    with pytest.raises(NothingCompleted, match=rf"The last one: {BAD[function]}\.\nFix the cause") as raised:
        searched(tmp_path, function, timeout=timeout, max_failures=most, **ONE_STAGE)
    assert raised.value.exit_code == 3
    rows = table(tmp_path / "studies.db")
    assert len(rows) == 5
    assert all(
        state.name == "FAIL" and re.fullmatch(BAD[function], attrs["reason"]) for state, *_, attrs in rows.values()
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_repeated_reason_is_printed_once_in_full(folder, workers):
    """In a pipe each trial of a failing function has its line; the reason is printed in full once, later a reference.

    Workers that cannot open the next stage end the run after the line of the stage's last trial.
    """
    write_campaign(folder, "objective", objective="user_functions:raises", max_failures=100)
    answer = forked_command("run", "small.toml", "--workers", workers, cwd=folder)
    assert answer.returncode == 3, answer.stderr
    lines = [re.split(" {2,}", line) for line in answer.stderr.splitlines() if line.startswith("coarse ")]
    assert [line[0] for line in lines] == [f"coarse {number}/8" for number in range(1, 9)]
    first, *others = lines
    assert re.fullmatch(BAD["raises"], first[-1])
    assert {line[-1] for line in others} == {f"the same reason as {first[1]}"}


def test_status_of_a_failed_campaign_shows_the_reason_and_what_to_do(folder, cli):
    """A run without a completed trial names `status`, which prints a reason, the logs, and how to go on."""
    write_campaign(folder, "objective", objective="user_functions:raises", max_failures=100, **ONE_STAGE)
    answer = forked_command("run", "small.toml", "--workers", 2, "--storage", "s.db", cwd=folder)
    assert answer.returncode == 3
    assert "(5 failed: `coarsefine status small --storage s.db` shows why)" in answer.stderr
    code, out, _ = cli("status", "--storage", "s.db")
    assert code == 0
    reason = re.escape("5 failed, for example trial 0: ") + BAD["raises"] + re.escape(". Logs: s-logs/small/")
    assert re.search(rf"^{reason}$", out, re.MULTILINE), out
    retry, resume = out.splitlines()[-2:]
    assert re.fullmatch(r"Next: \S+ retry small --storage s\.db   \(puts 5 failed trials back\)", retry)
    assert re.fullmatch(r"      \S+ run small --storage s\.db", resume)


def test_finished_run_shows_why_trials_failed(tmp_path, cli):
    """The end of a run, `status` and `best` print one line with a reason for each stage with failed trials."""
    write_campaign(tmp_path, "objective", objective="user_functions:fails_for_some", max_failures=9, **ONE_STAGE)
    outputs = [cli("run", "small.toml", "--workers", 1, "--quiet"), cli("status"), cli("best")]
    failed = [
        (number, attrs) for (_, number), (*_, attrs) in table(tmp_path / "studies.db").items() if attrs.get("reason")
    ]
    number, attrs = min(failed, key=lambda pair: pair[0])
    some = f"{len(failed)} failed, for example" if len(failed) > 1 else "1 failed,"
    assert [code for code, *_ in outputs] == [3, 0, 0], "most trials of the stage failed"
    for _, out, error in outputs:
        assert "Traceback" not in error
        assert f"\n{some} trial {number}: {attrs['reason']}. Logs: logs/small/\n" in out


FAILS_UP_TO = """
import os


def train(point, seed, report):
    if report.number < {most} and os.environ["COARSEFINE_STAGE"] == "coarse":
        raise RuntimeError(f"no device {{report.number}}")
    return 0.5
"""


@pytest.mark.parametrize(("failing", "code"), [(5, 3), (4, 0)], ids=["half", "fewer"])
def test_run_of_which_half_failed_is_no_success(tmp_path, cli, failing, code):
    """If half of a stage's trials failed, `run` ends with exit code 3, says so, and names no winner; so again later."""
    (tmp_path / "halfway.py").write_text(FAILS_UP_TO.format(most=failing), "utf-8")
    stage = {"coarse": {"trials": 10}, "fine": None}
    write_campaign(tmp_path, "objective", objective="halfway:train", epochs=None, max_failures=20, stage=stage)
    for _ in range(2):
        found, out, error = cli("run", "small.toml", "--workers", 1, "--quiet")
        assert found == code, error
        assert f"(done, {failing} trials failed, " in out
        assert ("Winner: " in out, "Best so far: " in out) == (code == 0, code == 3)
        if code:
            assert "5 of 10 trials of small/coarse failed" in error
            assert "coarsefine retry small" in error
    found, out, _ = cli("run", "small.toml", "--workers", 1, "--quiet", "--json")
    assert (found, json.loads(out)["state"]) == (code, "done")
    assert cli("worker", "small.toml", "--quiet")[0] == code


def test_traceback_is_a_detail(tmp_path):
    """An observer's `on_detail` receives the trial and the whole traceback of a failed call."""
    details = []
    observer = Observer()
    observer.on_detail = details.append
    searched(tmp_path, "fails_for_some", observer=observer, max_failures=9, **ONE_STAGE)
    tracebacks = [detail for detail in details if "Traceback" in detail]
    assert tracebacks
    assert all(re.match(r"trial \d: Traceback", detail) and "multiple of three" in detail for detail in tracebacks)


def test_function_without_reports_has_no_epochs(cli, tmp_path):
    """Neither the lines of a run nor the note for the dashboard mention epochs if a function only returns a value."""
    write_campaign(tmp_path, "objective", objective="user_functions:returns_alone", epochs=None, **ONE_STAGE)
    code, _, error = cli("run", "small.toml", "--workers", 1)
    assert code == 0, error
    assert "coarse: 5 of 5 trials to train; a 0.001 to 1" in error
    assert "epoch" not in error
    notes = "SELECT count(*) FROM study_system_attributes WHERE key LIKE 'dashboard:%' AND value_json LIKE '%{}%'"
    assert [counted(tmp_path, notes.format(text)) for text in ("**Trials:** 5, random", "epoch")] == [1, 0]


def test_failed_trials_do_not_affect_the_others(tmp_path):
    """Trials whose call fails end with their reason, and the winner is one of the others."""
    status = searched(tmp_path, "fails_for_some", max_failures=9, **ONE_STAGE)
    (stage,) = status.stages
    assert stage.failed
    assert stage.completed + stage.failed == 5
    assert status.winner.seed % 3


def test_diverged_trials_leave_their_batch(tmp_path):
    """Trials of a batch that report no finite number end; the function continues with the others."""
    status = searched(tmp_path, "some_diverge", **ONE_STAGE)
    (stage,) = status.stages
    assert (stage.completed, stage.diverged) == (3, 2)
    assert status.state == "done"


def test_stop_takes_effect_at_a_report(folder, expected):
    """A stopped run ends at the function's next report, releases the slot, and resumes to the same table."""
    asked = threading.Event()
    observer = Observer()
    observer.on_recorded = lambda *_: asked.set()
    with pytest.raises(Interrupted):
        searched(folder, "slow", observer=observer, stop=asked.is_set)
    assert ended(folder) < 8
    assert counted(folder, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == 0
    searched(folder, "slow")
    assert table(folder / "studies.db") == expected


def test_stop_does_not_wait_for_a_function_that_hangs(tmp_path, monkeypatch):
    """If a function reports nothing after a stop, the run ends without it and releases its slot."""
    monkeypatch.setattr("coarsefine.search.training.user_code.call._STOP_SECONDS", 0.2)
    started = tmp_path / "trials/small/coarse-0/started"
    with pytest.raises(Interrupted, match="trial 0 did not finish it in time"):
        searched(tmp_path, "never_returns", stop=started.exists, **ONE_STAGE)
    assert counted(tmp_path, "SELECT count(*) FROM trials WHERE state = 'WAITING'") == 5


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("user_functions:nothere", r"there is no 'nothere' in .*user_functions\.py"),
        ("user_functions:number", "is not a function but 3"),
        ("user_functions:takes_no_report", r"is called with \(point, seed, report\), but takes \(point, seed\)"),
        ("no_such_module:train", "there is no module 'no_such_module' on the Python path, nor in"),
        ("broken:train", r"cannot be imported: ZeroDivisionError: division by zero \(broken\.py, line 2\)"),
        ("unfinished:train", r"cannot be imported: SyntaxError: .* \(unfinished\.py, line 1\)"),
        ("lacking:train", "cannot be imported: ModuleNotFoundError: No module named 'no_such_library'"),
        ("sys:excepthook", "has no source file"),
        (
            "colorsys:train",
            r"Python imported .*/lib/.*colorsys\.py, which hides .*/colorsys\.py: give the latter another",
        ),
        ("wsgiref.mine:train", r"Python imported .*wsgiref/__init__\.py, which hides .*/wsgiref/mine\.py: give the"),
        ("user_functions", 'an objective is the name of a function, "package.module:function"'),
        ("../user:single", 'an objective is the name of a function, "package.module:function"'),
    ],
)
def test_objective_that_cannot_be_called_is_refused(cli, tmp_path, function, message):
    """An objective that cannot be called exits with 2 and its name; nothing is created."""
    (tmp_path / "broken.py").write_text("def train(point, seed, report): ...\n1 / 0\n", "utf-8")
    (tmp_path / "unfinished.py").write_text("def train(:\n", "utf-8")
    (tmp_path / "lacking.py").write_text("import no_such_library\n", "utf-8")
    (tmp_path / "colorsys.py").write_text("def train(point, seed, report): ...\n", "utf-8")
    (tmp_path / "wsgiref").mkdir()
    (tmp_path / "wsgiref/mine.py").touch()
    write_campaign(tmp_path, "objective", objective=function)
    code, _, error = cli("run", "small.toml", "--workers", 1)
    assert code == 2
    assert function in error
    assert re.search(message, error)
    assert "Traceback" not in error
    assert not (tmp_path / "studies.db").exists()


def test_unknown_key_is_refused_without_keys_of_the_network(cli, tmp_path):
    """The error of an unknown key lists the keys that a campaign with an objective can have, and no other."""
    path = tmp_path / "small.toml"
    for changes, known in (
        (
            {"sead": 3},
            "name, description, seed, objective, direction, metric, epochs, timeout, max_failures, recycle, ",
        ),
        (
            {"stage": {"coarse": {"widen": True}}},
            "name, trials, space, narrow, parent, carry, sampler, epochs, gpus, stack, pr",
        ),
    ):
        path.write_text(campaign_toml("objective", checked=False, **changes), "utf-8")
        code, _, error = cli("run", path.name)
        assert code == 2
        assert f"(known: {known}" in error
        assert "lambda" not in error


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"dataset": "digits"}}, r"\[data\] belongs to the network, not to an objective: remove it"),
        ({"model": {}}, r"\[model\] belongs to the network"),
        (
            {"data": {"dataset": "digits"}, "model": {}},
            r"\[data\] and \[model\] belong to the network, not to an objective: remove them",
        ),
        ({"epochs": 0}, "epochs = 0"),
        ({"timeout": 0}, "timeout = 0"),
        ({"max_failures": 0}, "max_failures = 0"),
        ({"stage": {"coarse": {"stack": 4}}}, "stack = 4, but objective = 'user_functions:single' trains one"),
        ({"epochs": None, "stage": {"coarse": {"pruner": "halving"}}}, "halving needs more than one epoch"),
        ({"objective": None, "epochs": None}, "'data' is missing: add it, or the `objective`"),
        (
            {"stage": {"coarse": {"space": None, "eta": [0.001, 1.0]}}},
            "an objective's parameters, eta, go into its space",
        ),
        (
            {"objective": None, "epochs": None, "data": {"dataset": "digits"}},
            "stage 'coarse': a space belongs to an objective; give ranges of the network's settings by name",
        ),
    ],
)
def test_settings_that_do_not_fit_a_function_are_refused(cli, tmp_path, changes, message):
    """Settings of the network, or those that do not fit a function, exit with 2 and a message that names them."""
    write_campaign(tmp_path, "objective", **changes)
    code, _, error = cli("run", "small.toml", "--workers", 1)
    assert code == 2, error
    assert re.search(message, error), error
    assert not (tmp_path / "studies.db").exists()


def test_function_refuses_the_data_option(cli, tmp_path):
    """A function has its own data: --data is refused."""
    write_campaign(tmp_path, "objective")
    code, _, error = cli("run", "small.toml", "--data", tmp_path)
    assert code == 2
    assert "has its own data: leave --data" in error


def test_changed_function_is_refused(tmp_path, monkeypatch, expected):
    """A campaign whose function's source changed is not resumed, neither by a run nor by a worker."""
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "changing.py"
    source.write_text("from user_functions import single\n", "utf-8")
    asked = threading.Event()
    observer = Observer()
    observer.on_recorded = lambda *_: asked.set()
    with pytest.raises(Interrupted):
        searched(tmp_path, "single", module="changing", observer=observer, stop=asked.is_set)
    before = source.read_text("utf-8")
    source.write_text(f"{before}# changed\n", "utf-8")
    for resume in (run, join):
        with pytest.raises(CampaignError) as refused:
            resume(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
        assert str(refused.value) == (
            f"{source} has changed since small/coarse was started:\n--- changing.py (before)\n+++ changing.py (now)\n"
            "@@ -1 +1,2 @@\n from user_functions import single\n+# changed\n"
            "To go on with the present file, give --accept-changes (in Python accept_changes=True), which records the "
            "change with the campaign. To search from the start with it, give the campaign another name or --storage. "
            "To go on with the earlier file, restore it."
        )
    source.write_text(before, "utf-8")
    searched(tmp_path, "single", module="changing")
    assert table(tmp_path / "studies.db") == expected


def test_accepted_change_is_recorded(tmp_path, monkeypatch, expected, cli):
    """With `accept_changes` a campaign goes on; status, page and report show both versions and how many trials each."""
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "changing.py"
    source.write_text("from user_functions import single\n", "utf-8")
    asked = threading.Event()
    observer = Observer()
    observer.on_recorded = lambda *arguments: arguments[-1] and asked.set()
    with pytest.raises(Interrupted):
        searched(tmp_path, "single", module="changing", observer=observer, stop=asked.is_set)
    done = ended(tmp_path)
    first = sources_printed(cli)[0]["digest"]
    source.write_text("from user_functions import single  # fixed\n", "utf-8")
    assert "\n+from user_functions import single  # fixed\n" in cli("status", "--diff")[1]
    messages = []
    observer = Observer()
    observer.on_message = messages.append
    run(Campaign.load("small.toml"), observer=observer, accept_changes=True)
    assert any(f"{source} differs in 1 line from the version that small/coarse was trained" in m for m in messages)
    assert table(tmp_path / "studies.db") == expected
    before, after = sources_printed(cli)
    assert (before["digest"], before["accepted"], before["trials"]) == (first, None, done)
    assert (after["digest"] != first, after["trials"]) == (True, 8 + 5 + 4 - done)
    _, out, error = cli("status")
    assert error == ""
    assert f"2 versions of the code trained these trials: the first ({done} trial" in out
    assert first[:12] not in out
    assert re.match(r"Accepted \S+:\n--- changing\.py \(before\)\n", cli("status", "--diff")[1])
    assert cli("report", "--output", "report.html")[0] == 0
    assert all(each["digest"] in Path("report.html").read_text("utf-8") for each in (before, after))


def sources_printed(cli):
    """Return the versions of the function's file that `status --json` prints."""
    return json.loads(cli("status", "--json")[1])["sources"]


def test_accepting_is_refused_if_more_has_changed(tmp_path, monkeypatch):
    """`accept_changes` accepts a changed function only: another campaign is refused, and nothing is recorded."""
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "changing.py"
    source.write_text("from user_functions import single\n", "utf-8")
    asked = threading.Event()
    observer = Observer()
    observer.on_recorded = lambda *said: said[-1] and asked.set()  # a trial has ended
    with pytest.raises(Interrupted):
        searched(tmp_path, "single", module="changing", observer=observer, stop=asked.is_set)
    source.write_text("from user_functions import single  # fixed\n", "utf-8")
    write_campaign(tmp_path, "objective", objective="changing:single", seed=5)
    with pytest.raises(CampaignError, match=r"seed was 4, now 5"):
        run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db", accept_changes=True)
    assert counted(tmp_path, "SELECT count(*) FROM study_user_attributes WHERE key = 'accepted'") == 0


def test_earlier_records_without_the_source_still_work(tmp_path, monkeypatch, expected):
    """A campaign whose studies have only the digest of the function's file is refused and accepted without a diff."""
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "changing.py"
    source.write_text("from user_functions import single\n", "utf-8")
    asked = threading.Event()
    observer = Observer()
    observer.on_recorded = lambda *_: asked.set()
    with pytest.raises(Interrupted):
        searched(tmp_path, "single", module="changing", observer=observer, stop=asked.is_set)
    with closing(sqlite3.connect(tmp_path / "studies.db")) as connection:
        without = "json_remove(value_json, '$.source')"
        connection.execute(f"UPDATE study_user_attributes SET value_json = {without} WHERE key = 'objective'")  # noqa: S608
        connection.execute("DELETE FROM trial_user_attributes WHERE key = 'source'")
        connection.commit()
    source.write_text("from user_functions import single  # fixed\n", "utf-8")
    campaign, storage = Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db"
    with pytest.raises(CampaignError, match=r"has changed since small/coarse was started\. To go on with the present"):
        run(campaign, storage)
    status = run(campaign, storage, accept_changes=True)
    assert table(storage) == expected
    assert len(status.sources) == 2


def test_finished_campaign_says_that_its_function_changed(cli, tmp_path, monkeypatch):
    """If a function's source changed since its campaign ended, the result is printed with a sentence that says so."""
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "altered.py"
    source.write_text("from user_functions import single\n", "utf-8")
    finished, warnings = searched(tmp_path, module="altered", **ONE_STAGE), []
    observer = Observer()
    observer.on_warning = warnings.append
    assert searched(tmp_path, module="altered", observer=observer, **ONE_STAGE) == finished
    assert warnings == []
    source.write_text("from user_functions import raises\n", "utf-8")
    assert searched(tmp_path, module="altered", observer=observer, **ONE_STAGE) == finished
    (warning,) = warnings
    assert warning == (
        f"{source} differs in 1 line from the version that gave these results: `coarsefine status small --diff` shows "
        "how. To search with the present version, run the campaign under another name."
    )
    for command in (("run", "small.toml", "--quiet"), ("status",), ("best",)):
        code, out, error = cli(*command)
        assert (code, error) == (0, f"{warning}\n")
        assert "Winner" in out
    with redirect_stdout(io.StringIO()) as both, redirect_stderr(both):
        cli("run", "small.toml", "--quiet")
    assert both.getvalue().splitlines()[-1] == warning


def test_module_next_to_the_campaign_file_is_found(tmp_path, monkeypatch, expected):
    """A run and a worker that joins it find a function's module next to the campaign file."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "beside.py").write_text("from user_functions import single\n", "utf-8")
    write_campaign(folder, "objective", objective="beside:single")
    asked = threading.Event()
    observer = Observer()
    observer.on_recorded = lambda *_: asked.set()
    path = sys.path
    for search in (partial(run, observer=observer, stop=asked.is_set), join):
        monkeypatch.setattr(sys, "path", [*path])
        monkeypatch.delitem(sys.modules, "beside", raising=False)
        with pytest.raises(Interrupted) if search is not join else nullcontext():
            search(Campaign.load("there/small.toml"), "studies.db")
    assert table(tmp_path / "studies.db") == expected


def test_module_that_is_not_used_is_named(folder, monkeypatch):
    """A run says which module it uses if there is another one of that name in the working directory."""
    monkeypatch.chdir(folder)
    messages = []
    observer = Observer()
    observer.on_message = messages.append
    searched(folder, observer=observer, stage={"coarse": {"trials": 1}, "fine": None}, confirm=None)
    used = (
        f"objective = 'user_functions:single' is that of {user_functions.__file__}, since the Python path comes before"
    )
    assert f"{used} {folder}/user_functions.py." in messages


def test_module_in_the_working_directory_comes_first(tmp_path, monkeypatch):
    """The module in the working directory is imported, not one of the same name next to the campaign file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "there").mkdir()
    for place in ("nearer.py", "there/nearer.py"):
        (tmp_path / place).touch()
    write_campaign(tmp_path / "there", "objective", objective="nearer:train")
    sent = pickle.dumps(Campaign.load("there/small.toml"))
    campaign = pickle.loads(sent)  # noqa: S301 - as workers receive it
    assert campaign.folder == tmp_path / "there"
    with pytest.raises(CampaignError, match=rf"there is no 'train' in {tmp_path}/nearer\.py"):
        run(campaign, "studies.db")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "a space is a table of parameters with their ranges"),
        ({"a": [1.0, 0.1]}, r"a = \[1.0, 0.1\]: low must be below high"),
        ({"a": [0.1, 1.0], "b c": [0.1, 1.0]}, "'b c' is not a parameter's name"),
        ({"optimizer": {"lr": [0.1, 1.0]}}, 'A name with a dot needs quotes, "optimizer.lr"'),
        ({"a": {"choice": []}}, "a choice has at least one option"),
        (3, "a space is a table of parameters"),
    ],
)
def test_invalid_space_is_refused(cli, tmp_path, space, message):
    """A space with an invalid name or range exits with 2 and a message that names it."""
    write_campaign(tmp_path, "objective", stage={"coarse": {"space": space}})
    code, _, error = cli("run", "small.toml", "--workers", 1)
    assert code == 2
    assert "stage 1, space" in error
    assert re.search(message, error), error


def test_order_of_the_parameters_does_not_matter(tmp_path, expected):
    """The same space in another order of its parameters gives the same points."""
    swapped = {"shape": {"choice": ["round", "square"]}, "a": [0.001, 1.0]}
    searched(tmp_path, stage={"coarse": {"space": swapped}})
    assert table(tmp_path / "studies.db") == expected


def test_report_of_a_function_shows_its_points_and_values(cli, undisturbed):
    """The report of a function's campaign shows the winner's point and value, and nothing about networks."""
    folder, status = undisturbed
    page = folder / "report.html"
    code, _, error = cli("report", "--storage", folder / "studies.db", "--output", page)
    assert code == 0, error
    text = page.read_text("utf-8").partition("<main>")[2].partition("<script")[0]
    winner = status.winner
    assert "user_functions:single" in text
    assert f"shape = {winner.point['shape']}" in text
    assert f"<strong>{winner.value:.5g}</strong>" in text
    assert not re.search("accuracy|hidden units|images", text)


def test_values_are_printed_without_a_percent_sign(cli, undisturbed):
    """`status` and `best` print a function's values without percent signs and without a final training."""
    folder, status = undisturbed
    for command in ("status", "best"):
        code, out, _ = cli(command, "--storage", folder / "studies.db")
        assert code == 0
        assert f"value {status.winner.value:.5g}" in out
        assert not re.search(r"\d %(?! interval)|test accuracy|[Ff]inal training", out)


def test_next_commands_include_the_export_of_parameters(cli, undisturbed):
    """After a run of a function, the next commands include the export of the winner's parameters, and no `predict`."""
    storage = undisturbed[0] / "studies.db"
    _, out, _ = cli("run", undisturbed[0] / "small.toml", "--storage", storage)
    assert re.search(rf"^      \S+ export small --storage {storage} --as params$", out, re.MULTILINE)
    assert "predict" not in out


def test_commands_for_networks_are_refused(cli, undisturbed):
    """Commands that need a network exit with 2 and name the function."""
    code, _, error = cli("gradcheck", "--campaign", "small", "--storage", undisturbed[0] / "studies.db")
    assert code == 2
    assert "small" in error
    assert "user_functions:single" in error


def test_parameters_of_a_function_are_exported(cli, undisturbed):
    """`export` writes the winner's parameters for the user's own training code, as JSON and for a shell."""
    folder, status = undisturbed[0], undisturbed[1]
    code, out, _ = cli("export", "small", "--as", "params", "--storage", folder / "studies.db")
    assert (code, json.loads(out)) == (0, status.winner.point.as_dict())
    code, out, _ = cli("export", "small", "--as", "env", "--storage", folder / "studies.db")
    assert code == 0
    assert [line.split("=")[0] for line in out.splitlines()] == [
        f"export COARSEFINE_PARAM_{name.upper()}" for name in status.winner.point
    ]
