"""Tests of `scripts/chaos --quick`. Kills, races, full disks and cut connections have tests elsewhere."""

import json

import postgres
import pytest
from scripted import run_script
from wanted import want

from chaos_runs.__main__ import main

WHAT = ("run killed at a stage boundary", "SIGSTOP past the lease, awake")


def test_quick_run_keeps_every_promise(tmp_path):
    """Workers killed at a stage boundary, or suspended past their leases, lose, repeat and change no trial."""
    if postgres.find_programs() is None:
        want(postgres.WANTED)
    options = ("--quick", "--seed", 1, "--only", "boundaries", "zombies", "--json", "chaos.json", "--page", "page.md")
    result = run_script("chaos", *options, cwd=tmp_path)
    rows = json.loads((tmp_path / "chaos.json").read_text("utf-8"))["rows"]
    assert [line for row in rows for line in row["broken"]] == []
    assert result.returncode == 0, result.stdout + result.stderr
    assert [(row["what"], row["database"]) for row in rows] == [(w, d) for w in WHAT for d in ("SQLite", "PostgreSQL")]
    assert {row["verdict"] for row in rows} == {"kept"}
    assert len({moment for row in rows[:2] for moment in row["moments"]}) == 6
    assert all(row["what"] in result.stdout for row in rows)
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "seed 1, " in page.splitlines()[0]
    assert all(f"| {row['what']} | {row['database']} | {row['n']} | {row['seen']} |" in page for row in rows)


def test_unknown_experiment_is_refused(tmp_path, monkeypatch, capsys):
    """An unknown experiment is a usage error and starts nothing."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["--only", "meteors"])
    assert "meteors" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_hang_ups_suspends_and_crashes_cost_no_trial(tmp_path):
    """A run that is hung up, stopped, suspended, killed and crashed at random ends with the undisturbed values."""
    options = ("--quick", "--seed", 1, "--only", "disturbances", "--on", "SQLite", "--json", "chaos.json")
    result = run_script("chaos", *options, cwd=tmp_path)
    rows = json.loads((tmp_path / "chaos.json").read_text("utf-8"))["rows"]
    assert [line for row in rows for line in row["broken"]] == []
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(rows) == 6
