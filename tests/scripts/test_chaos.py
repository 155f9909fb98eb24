"""Tests of `scripts/chaos --quick`. Kills, races, full disks and cut connections have tests elsewhere."""

import json
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import optuna
import postgres
import pytest
from forked import Forked, run_module
from wanted import want

from chaos_runs import campaigns
from chaos_runs.__main__ import main

WHAT = ("run killed at a stage boundary", "SIGSTOP past the lease, awake")


def start(command, *, cwd, stderr, env=None, **_):
    """Fork a run instead of starting an interpreter, which takes seconds; it writes to the same file."""
    process = Forked(run_module, *command[2:], cwd=cwd, env=env, start_new_session=True)
    path = Path(stderr.name)
    path.unlink()
    path.symlink_to(process.stderr.name)
    return process


@pytest.fixture
def quick(tmp_path, monkeypatch, capsys):
    """Return a function that calls the script; it returns the exit code, the rows and the output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COARSEFINE_CACHE", str(tmp_path))  # the script sets it
    kept = {"DEVNULL": subprocess.DEVNULL, "TimeoutExpired": subprocess.TimeoutExpired}
    monkeypatch.setattr(campaigns, "subprocess", SimpleNamespace(Popen=start, **kept))
    before, verbosity = signal.getsignal(signal.SIGTERM), optuna.logging.get_verbosity()

    def call(*options):
        code = main(["--quick", "--seed", "1", *options])
        return code, json.loads(Path("chaos.json").read_text("utf-8"))["rows"], capsys.readouterr().out

    yield call
    signal.signal(signal.SIGTERM, before)
    optuna.logging.set_verbosity(verbosity)


def test_quick_run_keeps_every_promise(quick, tmp_path):
    """Workers killed at a stage boundary, or suspended past their leases, lose, repeat and change no trial."""
    if postgres.find_programs() is None:
        want(postgres.WANTED)
    code, rows, printed = quick("--only", "boundaries", "zombies", "--page", "page.md")
    assert [line for row in rows for line in row["broken"]] == []
    assert code == 0, printed
    assert [(row["what"], row["database"]) for row in rows] == [(w, d) for w in WHAT for d in ("SQLite", "PostgreSQL")]
    assert {row["verdict"] for row in rows} == {"kept"}
    assert len({moment for row in rows[:2] for moment in row["moments"]}) == 6
    assert all(row["what"] in printed for row in rows)
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "seed 1, " in page
    assert all(f"| {row['what']} | {row['database']} | {row['n']} | {row['seen']} |" in page for row in rows)
    assert main(["--join", "chaos.json", "--page", "joined.md"]) == 0
    assert (tmp_path / "joined.md").read_text("utf-8") == page


def test_unknown_experiment_is_refused(tmp_path, monkeypatch, capsys):
    """An unknown experiment is a usage error and starts nothing."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["--only", "meteors"])
    assert "meteors" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_hang_ups_suspends_and_crashes_cost_no_trial(quick):
    """A run that is hung up, stopped, suspended, killed and crashed at random ends with the undisturbed values."""
    code, rows, printed = quick("--only", "disturbances", "--on", "SQLite")
    assert [line for row in rows for line in row["broken"]] == []
    assert code == 0, printed
    assert len(rows) == 6
