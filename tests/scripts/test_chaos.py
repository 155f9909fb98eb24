"""`scripts/chaos --quick`: every fault is really injected, and every promise kept. No time is judged."""

import json

import pytest
from scripted import run_script

TRIED = {
    "kill -9 of workers": 2,
    "time lost to a kill": 2,
    "run killed at a stage boundary": 2,
    "SIGSTOP past the lease, awake": 2,
    "claim race, 16 processes": 2,
    "file-size limit": 1,
    "connections cut during a stage": 1,
    "server restarted during a stage": 1,
    "trials a second, 4 workers": 2,
}


@pytest.mark.usefixtures("own_server")  # where PostgreSQL is missing, this is skipped, and fails in CI
@pytest.mark.timeout(900)
def test_quick_form_breaks_no_promise(tmp_path):
    """Killed, stopped, cut off and out of room, on both databases: nothing is lost, doubled or different."""
    answer = run_script("chaos", "--quick", "--seed", 1, "--json", "chaos.json", cwd=tmp_path, timeout=850)
    report = json.loads((tmp_path / "chaos.json").read_text("utf-8"))
    rows = report["rows"]
    assert [line for row in rows for line in row["broken"]] == []
    assert answer.returncode == 0, answer.stdout + answer.stderr
    tried = [row["what"] for row in rows]
    assert {what: tried.count(what) for what in TRIED} == TRIED
    assert {row["verdict"] for row in rows} == {"kept", "not judged"}
    assert all(row["what"] in answer.stdout for row in rows)
    killed = [row["kills"] for row in rows if row["what"] == "kill -9 of workers"]
    assert min(min(kills) for kills in killed) >= 15


def test_unknown_experiment_is_refused(tmp_path):
    """What does not exist is wrong usage, and nothing is begun."""
    answer = run_script("chaos", "--only", "meteors", cwd=tmp_path)
    assert answer.returncode == 2
    assert "meteors" in answer.stderr
    assert list(tmp_path.iterdir()) == []
