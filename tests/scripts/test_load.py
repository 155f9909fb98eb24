"""`scripts/load --quick`: readers, streams and workers really meet, and nothing fails. No time is judged."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_quick_form_meets_no_error(tmp_path):
    """Ten readers and four streams on a campaign that a worker trains see no error; every promise has its figure."""
    path = os.pathsep.join(filter(None, (f"{ROOT / 'scripts'}", os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "loads", "--quick", "--json", "load.json"]
    environment = {**os.environ, "PYTHONPATH": path}
    answer = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=280
    )  # fmt: skip
    report = json.loads((tmp_path / "load.json").read_text("utf-8"))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert report["errors"] == []
    assert report["page"]["n"] >= 10
    assert report["answer"]["n"] == 6 * report["page"]["n"]
    assert report["events"] >= 4
    assert min(report["epochs_a_second"]["alone"] + report["epochs_a_second"]["together"]) > 0
    assert [row["what"] for row in report["rows"] if row["unit"] == "s"]
    assert len(answer.stdout.splitlines()) == len(report["rows"])
