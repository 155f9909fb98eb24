"""Tests of `scripts/chaos --quick`. Kills, races, full disks and cut connections have tests elsewhere."""

import json

import pytest
from scripted import run_script


@pytest.mark.usefixtures("own_server")  # without PostgreSQL, skips the test, or fails it in CI
@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_quick_run_keeps_every_promise(tmp_path, database):
    """Workers killed at a stage boundary, or suspended past their leases, lose, repeat and change no trial."""
    options = ("--quick", "--seed", 1, "--only", "boundaries", "zombies", "--on", database, "--json", "chaos.json")
    result = run_script("chaos", *options, cwd=tmp_path)
    rows = json.loads((tmp_path / "chaos.json").read_text("utf-8"))["rows"]
    assert [line for row in rows for line in row["broken"]] == []
    assert result.returncode == 0, result.stdout + result.stderr
    assert [row["what"] for row in rows] == ["run killed at a stage boundary", "SIGSTOP past the lease, awake"]
    assert {row["verdict"] for row in rows} == {"kept"}
    assert len(rows[0]["moments"]) == 3
    assert all(row["what"] in result.stdout for row in rows)


def test_unknown_experiment_is_refused(tmp_path):
    """An unknown experiment is a usage error and starts nothing."""
    result = run_script("chaos", "--only", "meteors", cwd=tmp_path)
    assert result.returncode == 2
    assert "meteors" in result.stderr
    assert list(tmp_path.iterdir()) == []
