"""Test of `scripts/scale --quick`: its measurements run to their ends. No time is judged."""

import json

from scripted import run_script

from coarsefine.search.storage.location import at_file
from coarsefine.search.storage.opening import open_storage
from scales.databases import campaign_of, make
from scales.first_claim import main


def test_quick_run_prints_a_row_for_each_measurement(tmp_path):
    """Claims, a crowd of workers and backups each have a row with its bound, printed and as JSON."""
    chosen = ("--only", "claims", "crowd", "backups", "--databases", "SQLite")
    result = run_script("scale", "--quick", *chosen, "--json", "scale.json", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = json.loads((tmp_path / "scale.json").read_text("utf-8"))["rows"]
    assert [(row["unit"], row["bound"], row["at_least"]) for row in rows] == [
        ("×", 2.0, False), ("×", 0.8, True), ("s", 0.2, False),
    ]  # fmt: skip
    assert all(row["found"] > 0 and f"{row['what']:<56} SQLite" in result.stdout for row in rows)


def test_start_of_a_run_ends_with_its_first_claim(tmp_path):
    """The measured start of a run claims a trial, trains nothing, and leaves the others as they were."""
    place, file = tmp_path / "studies.db", campaign_of(tmp_path, "started", 5)
    study = make(at_file(place), file, 2)
    main("run", str(file), str(place))
    storage = open_storage(at_file(place))
    assert [trial.state.name for trial in storage.trials_of(study)] == ["COMPLETE"] * 2 + ["WAITING"] * 3
    storage.close()
