"""Test of `scripts/load --quick`: readers, streams and workers run together without errors. No time is judged."""

import json

from scripted import run_script


def test_quick_run_has_no_errors(tmp_path):
    """Ten readers and four streams see no error while a worker trains, and every promise has its figure."""
    result = run_script("load", "--quick", "--json", "load.json", cwd=tmp_path)
    report = json.loads((tmp_path / "load.json").read_text("utf-8"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert report["errors"] == []
    assert report["page"]["n"] >= 10
    assert report["answer"]["n"] == 6 * report["page"]["n"]
    assert report["events"] >= 4
    assert min(report["epochs_a_second"]["alone"] + report["epochs_a_second"]["together"]) > 0
    assert [row["what"] for row in report["rows"] if row["unit"] == "s"]
    assert len(result.stdout.splitlines()) == len(report["rows"])
