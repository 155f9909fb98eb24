"""`scripts/load --quick`: readers, streams and workers really meet, and nothing fails. No time is judged."""

import json

from scripted import run_script


def test_quick_form_meets_no_error(tmp_path):
    """Ten readers and four streams on a campaign that a worker trains see no error; every promise has its figure."""
    answer = run_script("load", "--quick", "--json", "load.json", cwd=tmp_path)
    report = json.loads((tmp_path / "load.json").read_text("utf-8"))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert report["errors"] == []
    assert report["page"]["n"] >= 10
    assert report["answer"]["n"] == 6 * report["page"]["n"]
    assert report["events"] >= 4
    assert min(report["epochs_a_second"]["alone"] + report["epochs_a_second"]["together"]) > 0
    assert [row["what"] for row in report["rows"] if row["unit"] == "s"]
    assert len(answer.stdout.splitlines()) == len(report["rows"])
