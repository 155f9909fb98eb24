"""Test broken machines and broken code with processes of their own: workers that stop, and campaigns that go on."""

import json
import os
import re

import pytest
from campaigns import write_campaign
from forked import Forked, run_command
from processes import end_of, wait_until
from stored import counted, ended, table

FUNCTION = """\
import os
import time
from pathlib import Path

import user_functions


def train(point, seed, report):
    if os.environ.get("BAD"):
        raise RuntimeError("no device")
    while not Path("go").exists():
        time.sleep(0.01)
    return user_functions.single(point, seed, report)
"""


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a function that fails where BAD is set, and elsewhere waits for a file named `go`."""
    (tmp_path / "machine.py").write_text(FUNCTION, "utf-8")
    return write_campaign(tmp_path, "objective", objective="machine:train", stage={"coarse": {"trials": 12}})


def start(folder, *arguments, **environment):
    env = {**os.environ, "PYTHONPATH": str(folder), **environment}
    return Forked(run_command, *arguments, cwd=folder, env=env, packages=[folder])


def failed(folder):
    return counted(folder, "SELECT count(*) FROM trials WHERE state = 'FAIL'")


def test_bad_machine_fails_at_most_max_failures_slots(folder):
    """A worker on a bad machine stops after three failures, and a good one trains all other trials to their end."""
    good = start(folder, "run", "small.toml", "--workers", 1)
    wait_until(lambda: counted(folder, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") > 0)
    bad = start(folder, "worker", "small", BAD="1")
    code, error = end_of(bad)
    assert code == 3, error
    assert (
        "small/coarse: 3 failures in a row with the same cause: RuntimeError: no device (machine.py, line 10)" in error
    )
    assert (failed(folder), ended(folder)) == (3, 3)
    (folder / "go").touch()
    code, error = end_of(good)
    assert code == 0, error
    assert (failed(folder), ended(folder)) == (3, 12 + 5 + 4)


def test_worker_with_an_earlier_version_takes_no_further_trial(folder):
    """Once a changed function is accepted, a worker that started with the earlier one ends what it has, and leaves."""
    early = start(folder, "run", "small.toml", "--workers", 1)
    wait_until(lambda: counted(folder, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") > 0)
    with (folder / "machine.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    code, error = end_of(start(folder, "worker", "small"))
    assert code == 2
    assert "+# changed" in error
    assert "give --accept-changes" in error
    late = start(folder, "worker", "small", "--accept-changes")
    wait_until(lambda: counted(folder, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") > 1)
    (folder / "go").touch()
    code, error = end_of(early)
    assert code == 2
    assert re.search("started with another version: it takes no further trials. Start it again", error)
    assert end_of(late)[0] == 0
    assert counted(folder, "SELECT count(*) FROM trials WHERE state = 'COMPLETE'") == 12 + 5 + 4
    sources = "SELECT count(DISTINCT value_json) FROM trial_user_attributes WHERE key = 'source'"
    assert counted(folder, sources) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_campaign_goes_on_after_its_bug_is_fixed(folder, workers):
    """After a fix, `retry` and `run --accept-changes` give exactly N trials, as planned, and show both versions."""
    (folder / "go").touch()
    source = folder / "machine.py"
    good = source.read_text("utf-8")
    source.write_text(good.replace('os.environ.get("BAD")', "seed"), "utf-8")
    run = ("run", "small.toml", "--workers", workers)
    code, error = end_of(start(folder, *run))
    assert code == 3
    assert "then run `coarsefine retry small` and `coarsefine run small --accept-changes`" in error
    planned = {number: (row[1], row[-1]["seed"]) for (_, number), row in table(folder / "studies.db").items()}
    assert failed(folder) == 3 * workers
    source.write_text(good, "utf-8")
    assert end_of(start(folder, *run))[0] == 2
    assert end_of(start(folder, "retry", "small"))[0] == 0
    assert failed(folder) == 0
    code, error = end_of(start(folder, *run, "--accept-changes"))
    assert code == 0, error
    rows = table(folder / "studies.db")
    assert {row[0].name for row in rows.values()} == {"COMPLETE"}
    assert len(rows) == 12 + 5 + 4
    coarse = {number: (row[1], row[-1]["seed"]) for (study, number), row in rows.items() if study == "small/coarse"}
    assert coarse == planned
    shown = start(folder, "status", "--json")
    versions = json.loads(shown.communicate(240)[0])["sources"]
    assert [version["trials"] for version in versions] == [0, 21]
    kept = "SELECT count(*) FROM trial_user_attributes WHERE key = 'earlier_failures' AND value_json LIKE '%source%'"
    assert counted(folder, kept) == 3 * workers
