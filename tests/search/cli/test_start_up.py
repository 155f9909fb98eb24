"""Start-up: importing the package or printing a help page loads no heavy package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from campaigns import write_campaign

HEAVY = (
    "coarsefine.model.kernel",
    "coarsefine.model.network",
    "coarsefine.search.campaign",
    "fastapi",
    "numpy",
    "optuna",
    "plotly",
    "psutil",
    "pydantic",
    "scipy",
    "sklearn",
    "sqlalchemy",
)
COMMANDS = (
    "run", "worker", "status", "best", "export", "train", "predict", "report", "serve", "presets", "gradcheck",
    "momentum", "doctor", "init",
)  # fmt: skip
LIST_MODULES = "import json, sys; sys.stderr.write(json.dumps(sorted(sys.modules)))"
CLOSED = """
import os
import sys

from coarsefine import Campaign, run

if __name__ == "__main__":
    for stream in (0, 1, 2):
        os.close(stream)
    sys.stdin = sys.stdout = sys.stderr = None
    run(Campaign.load("small.toml"), workers={workers})
"""
SHOW_HELP = f"""
import sys
from coarsefine.search.cli import main
for command in {COMMANDS!r} if sys.argv.pop() == "commands" else ((),):
    sys.argv = ["coarsefine", *([command] if command else []), "--help"]
    try:
        main()
    except SystemExit as end:
        assert not end.code
"""


def loaded_by(code, *arguments):
    """Run code; return its stdout and the names of the modules it loaded."""
    command = [sys.executable, "-c", f"{code}\n{LIST_MODULES}", *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    return process.stdout, set(json.loads(process.stderr))


@pytest.mark.parametrize("code", ["import coarsefine", "import coarsefine.search.cli"])
def test_import_loads_nothing_heavy(code):
    """Importing the package or its command line loads neither NumPy, Optuna nor the campaign models."""
    _, modules = loaded_by(code)
    assert modules.isdisjoint(HEAVY)


def test_server_of_trial_processes_loads_nothing_heavy():
    """The process that imports a user's module loads no heavy package of its own: its memory is that module's."""
    _, modules = loaded_by("import coarsefine.search.training.user_code.server")
    assert modules.isdisjoint({*HEAVY} - {"coarsefine.search.campaign"})
    assert "coarsefine.search.campaign.campaign" not in modules


def test_help_loads_nothing_heavy():
    """`coarsefine --help` lists every command and loads no heavy package."""
    text, modules = loaded_by(SHOW_HELP, "program")
    assert all(f" {command} " in text for command in COMMANDS)
    assert modules.isdisjoint(HEAVY)


def test_help_of_commands_loads_nothing_heavy():
    """The help pages of commands load no heavy package except pydantic, which Typer needs for options."""
    text, modules = loaded_by(SHOW_HELP, "commands")
    assert text.count("Usage:") == len(COMMANDS)
    assert modules.isdisjoint(set(HEAVY) - {"pydantic"})


@pytest.mark.parametrize(
    "words",
    ["status", "status --json", "presets digits", "run small", "run small --json", "--help", "run --help"],
)
def test_reader_that_leaves_is_no_error(words, cli, searched, monkeypatch):
    """If the program that reads the output has ended, as in `coarsefine status | head`, the exit code is 0."""
    storage = ["--storage", searched / "studies.db"] if "small" in words or "status" in words else []
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", encoding="utf-8") as broken:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(sys, "stdout", broken)
        assert cli(*words.split(), *storage)[0] == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_usage_error_keeps_its_exit_code_where_it_cannot_be_written(cli, monkeypatch):
    """A command line that is wrong ends with exit code 2, even if the disk of its messages is full."""
    with Path("/dev/full").open("w", encoding="utf-8") as full, Path(os.devnull).open("w", encoding="utf-8") as out:
        monkeypatch.setattr(sys, "stderr", full)
        monkeypatch.setattr(sys, "stdout", out)
        assert cli("no-such-command")[0] == 2


def test_server_starts_without_the_dashboards_packages():
    """The server starts without optuna-dashboard, pandas and scikit-learn, which take a second or two to import."""
    _, modules = loaded_by("import coarsefine.search.server.serve")
    assert modules.isdisjoint({"optuna_dashboard", "pandas", "sklearn"})


def test_closed_streams_change_no_exit_code(tmp_path):
    """A command whose standard streams are closed ends with the exit code that it deserves, and writes into no file."""
    for words, code in ((["presets"], 0), (["status", "--storage", "missing.db"], 5), (["run", "missing.toml"], 2)):
        command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "coarsefine", *words]
        assert subprocess.run(command, cwd=tmp_path, check=False, timeout=240).returncode == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_script_whose_streams_are_closed_trains(tmp_path, workers):
    """`run` in a process without standard streams starts processes that have some, which lead nowhere."""
    (tmp_path / "own.py").write_text("def train(point, seed, report):\n    return 0.5\n", "utf-8")
    changes = {"stage": {"coarse": {"trials": 4}, "fine": None}, "confirm": None, "epochs": None}
    write_campaign(tmp_path, "objective", objective="own:train", **changes)
    (tmp_path / "script.py").write_text(CLOSED.format(workers=workers), "utf-8")
    assert subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=False, timeout=240).returncode == 0


def test_workers_of_a_run_whose_streams_are_closed_train(tmp_path):
    """The processes that such a run starts have standard streams, which lead nowhere."""
    write_campaign(tmp_path, stage={"coarse": {"trials": 4}, "fine": None})
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "coarsefine", "run", "small.toml"]
    assert subprocess.run([*command, "--workers", "2"], cwd=tmp_path, check=False, timeout=240).returncode == 0
