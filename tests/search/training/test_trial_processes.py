"""Test the processes in which user code runs: whatever it does, its own trial ends, and nothing else."""

import json
import re
from contextlib import closing

import numpy as np
import optuna
import psutil
import pytest
from campaigns import write_campaign
from faulty_campaigns import FORMS, campaign_in, check_faults
from faulty_functions import FAULTS
from forked import PATIENCE, Forked, forked_command, run_script
from processes import wait_until
from stored import table

from coarsefine import Campaign, CampaignError, NothingCompleted, Observer, run
from coarsefine.search.training.user_code.trial_server import TrialServer


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("function", FORMS)
def test_each_fault_ends_its_trial_and_nothing_else(tmp_path, function, workers):
    """Every kind of fault ends its own trial with its reason; the worker goes on, and no process outlives its trial.

    What the function prints is in the trials' logs, and not in the output of the run.
    """
    campaign_in(tmp_path, function, len(FAULTS), {"stack": 1})
    answer = forked_command("run", "small.toml", "--workers", workers, "--json", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["state"] == "done"
    check_faults(table(tmp_path / "studies.db"))
    (left,) = tmp_path.glob("trials/small/*/left")
    pids = json.loads(left.read_text("utf-8"))
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    logs = {path.stem: path.read_text("utf-8") for path in tmp_path.glob("logs/small/trials/*.log")}
    assert logs["coarse-0"].startswith("── coarse#0, attempt 1")
    assert "below Python" in logs["coarse-0"]
    assert logs["coarse-0"].count("x" * 200_000) == 20
    assert "the stream is there" in logs["coarse-4"]
    assert "Segmentation fault" in logs["coarse-8"]


def test_call_that_blocks_is_killed_at_its_timeout(tmp_path):
    """A function that blocks in a C library, with Python's lock held, is killed when it times out."""
    campaign_in(tmp_path, "blocks", 2, timeout=0.2)
    with pytest.raises(NothingCompleted, match=r"neither reported nor returned within 0\.2 s"):
        run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")


def test_memory_that_leaks_ends_with_its_process(tmp_path):
    """A function that leaks 10 GB, 50 MB in each of 200 trials, does so in processes that are replaced in time."""
    campaign_in(tmp_path, "leaks", 200)
    worker, of_worker = psutil.Process(), []
    observer = Observer()
    observer.on_recorded = lambda *_: of_worker.append(worker.memory_info().rss)
    before = worker.memory_info().rss
    run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db", observer=observer)
    study = optuna.load_study(study_name="small/coarse", storage=f"sqlite:///{tmp_path}/studies.db")
    of_trials = [trial.user_attrs["metrics"]["memory"][0] for trial in study.trials]
    assert len(of_trials) == len(of_worker) == 200
    assert max(of_worker) < before + 100 * 2**20
    assert 300 * 2**20 < max(of_trials) < 600 * 2**20


def test_process_that_is_killed_from_outside_is_tried_again(tmp_path):
    """A trial whose process gets SIGKILL is tried again, and FAILs with the reason if that happens again and again."""
    campaign_in(tmp_path, "dies_by_kill", 4)
    run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    rows = table(tmp_path / "studies.db")
    assert [state.name for state, *_ in rows.values()] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]
    reason = rows["small/coarse", 2][-1]["reason"]
    assert reason.startswith("its process was killed by signal 9 (SIGKILL), maybe for lack of memory, 3 times: ")


def test_death_of_the_worker_ends_all_that_its_trial_started(tmp_path):
    """If a worker is killed, so are its trial's process, the server, and a child in a session of its own."""
    campaign_in(tmp_path, "kills_its_worker", 4)
    answer = forked_command("run", "small.toml", "--workers", 2, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert all(state.name == "COMPLETE" for state, *_ in table(tmp_path / "studies.db").values())
    (running,) = tmp_path.glob("trials/small/*/running")
    pids = json.loads(running.read_text("utf-8"))
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_call_that_cannot_be_prepared_fails_its_trial_with_the_cause(tmp_path, monkeypatch):
    """If a new process has no working directory when a call begins, the trial FAILs and the reason names it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    source = """
import os
from pathlib import Path


def train(point, seed, report):
    Path("../here").rmdir()
    return 0.5
"""
    one_stage_of(tmp_path, source, stage={"coarse": {"trials": 2}, "fine": None})
    run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    rows = table(tmp_path / "studies.db")
    assert [state.name for state, *_ in rows.values()] == ["COMPLETE", "FAIL"]
    assert rows["small/coarse", 1][-1]["reason"].startswith("FileNotFoundError")


@pytest.mark.parametrize(
    "leaves",
    [
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))",
        "import os; os.open = None",
        "import pathlib; pathlib.Path('../here').rename('../there')",
    ],
)
def test_what_a_trial_leaves_behind_fails_no_other_trial(tmp_path, monkeypatch, leaves):
    """If a process cannot be prepared for its next call, another process makes it: that trial has done nothing."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    source = f"""
from pathlib import Path


def train(point, seed, report):
    if report.number == 0:
        {leaves}
    return 0.5
"""
    one_stage_of(tmp_path, source, stage={"coarse": {"trials": 3}, "fine": None})
    run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db", workers=1)
    assert [state.name for state, *_ in table(tmp_path / "studies.db").values()] == ["COMPLETE"] * 3


def test_reports_before_a_crash_are_recorded(tmp_path):
    """Epochs that a function reports right before its process crashes are recorded, for each kind of crash."""
    source = """
import ctypes
import os


def train(point, seed, report):
    for epoch in (1, 2, 3):
        report(0.1 * epoch)
    os._exit(3) if report.number else ctypes.string_at(0)
"""
    one_stage_of(tmp_path, source, epochs=5, stage={"coarse": {"trials": 2}, "fine": None})
    with pytest.raises(NothingCompleted):
        run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    recorded = [list(steps.values()) for _, _, _, steps, _ in table(tmp_path / "studies.db").values()]
    assert recorded == [[0.1, 0.2, 0.1 * 3]] * 2


def test_answer_that_comes_after_the_end_of_a_call_is_ignored(tmp_path):
    """A process that is asked to end a call which has ended already makes the next one."""
    (tmp_path / "own.py").write_text("def train(point, seed, report):\n    return 0.5\n", "utf-8")
    server = TrialServer("own:train", tmp_path, {})
    trial = {"number": 0, "point": {}, "seed": 1, "attempt": 1, "folder": str(tmp_path)}
    call = {"form": "plain", "epochs": 1, "metric": "value", "recycle": None, "space": {}, "trials": [trial]}
    with closing(server):
        process = server.take()
        process.send({"kind": "end"})
        process.send({"kind": "call", **call, "log": str(tmp_path / "log"), "environment": {}})
        answer = process.receive(PATIENCE)
        process.give_back(reusable=True)
    assert (answer["kind"], answer["judged"][0]["value"]) == ("returned", 0.5)


def test_recycle_limits_the_trials_of_a_process(tmp_path):
    """With `recycle = 2` a process trains two trials."""
    source = "import os\n\n\ndef train(point, seed, report):\n    print(f'pid={os.getpid()}')\n    return 0.5\n"
    one_stage_of(tmp_path, source, recycle=2, stage={"coarse": {"trials": 6}, "fine": None})
    run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    logs = [path.read_text("utf-8") for path in tmp_path.glob("logs/small/trials/*.log")]
    found = [re.search(r"pid=(\d+)", log)[1] for log in logs]
    assert sorted(map(found.count, {*found})) == [2, 2, 2]


def test_metrics_are_stored_for_each_epoch(tmp_path):
    """Further metrics of reports and of a returned dict are stored with a place for each epoch."""
    source = """
def train(point, seed, report):
    report(0.1, loss=3.0)
    report({"value": 0.2, "f1": 1})
    return {"value": 0.3, "loss": float("nan")}
"""
    one_stage_of(tmp_path, source, epochs=3)
    run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    study = optuna.load_study(study_name="small/coarse", storage=f"sqlite:///{tmp_path}/studies.db")
    assert study.trials[0].user_attrs["metrics"] == {"loss": [3.0, None, None], "f1": [None, 1.0, None]}
    assert np.allclose(study.trials[0].value, 0.3)


def test_module_that_starts_threads_is_imported_by_each_process(tmp_path):
    """A module with threads of its own is not forked: each trial process imports it, threads included."""
    source = """
import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()


def train(point, seed, report):
    report(threading.active_count())
"""
    one_stage_of(tmp_path, source, recycle=1)
    run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    assert [values for _, _, values, *_ in table(tmp_path / "studies.db").values()] == [[2.0]] * 3


def test_module_prints_once_and_into_no_log(tmp_path, capfd):
    """What a module prints when it is imported is on standard error, once, and in no trial's log."""
    source = """
print("imported")


def train(point, seed, report):
    return 0.5
"""
    one_stage_of(tmp_path, source, recycle=1)
    run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    assert capfd.readouterr() == ("", "imported\n")
    assert not [*tmp_path.glob("logs/small/trials/*")]


def test_module_that_cannot_be_imported_again_fails_its_trials(tmp_path):
    """If each process imports the module, and that fails, the trials FAIL with the reason."""
    source = """
import threading
from pathlib import Path

Path("imported").mkdir()
threading.Thread(target=threading.Event().wait, daemon=True).start()


def train(point, seed, report):
    return 0.5
"""
    one_stage_of(tmp_path, source)
    answer = forked_command("run", "small.toml", "--workers", 1, cwd=tmp_path)
    assert answer.returncode == 3
    assert re.search(r"cannot be imported: FileExistsError: .*imported' \(own\.py, line 4\)", answer.stderr)


def test_threads_are_those_of_the_environment(tmp_path):
    """A function's libraries use one thread."""
    source = """
import numpy
import threadpoolctl


def train(point, seed, report):
    return max(pool["num_threads"] for pool in threadpoolctl.threadpool_info())
"""
    one_stage_of(tmp_path, source)
    run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    assert [values for _, _, values, *_ in table(tmp_path / "studies.db").values()] == [[1.0]] * 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("import os; os._exit(3)", "the process that imports it ended with exit code 3"),
        ("import ctypes; ctypes.string_at(0)", r"the process that imports it was killed by signal 11 \(SIGSEGV\)"),
        ("raise SystemExit(4)", r"SystemExit: 4 \(own\.py, line 1\)"),
    ],
)
def test_module_that_crashes_is_refused(tmp_path, line, reason):
    """A module that ends its process when it is imported is refused with the way it ended; nothing is created."""
    one_stage_of(tmp_path, f"{line}\n")
    with pytest.raises(CampaignError, match=f"objective = 'own:train' cannot be imported: {reason}. Fix the module"):
        run(Campaign.load(tmp_path / "small.toml"), tmp_path / "studies.db")
    assert not (tmp_path / "studies.db").exists()


def test_function_of_the_script_is_found(tmp_path):
    """A script can search a function of its own, as `__main__:NAME`."""
    source = """
from coarsefine import Campaign, run


def train(point, seed, report):
    return point["a"]


if __name__ == "__main__":
    print(run(Campaign.load("small.toml"), workers=2).state)
"""
    one_stage_of(tmp_path, source, objective="__main__:train")
    process = Forked(run_script, tmp_path / "own.py", cwd=tmp_path)
    assert process.wait(PATIENCE) == 0, process.communicate()
    assert process.communicate()[0] == "done\n"


def one_stage_of(folder, source, objective="own:train", **changes):
    """Write a module, and a campaign with three trials of its function."""
    (folder / "own.py").write_text(source.lstrip(), "utf-8")
    changes |= {"stage": {"coarse": {"trials": 3}, "fine": None}, "confirm": None, "epochs": None} | changes
    write_campaign(folder, "objective", objective=objective, **changes)
