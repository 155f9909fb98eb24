"""What starting costs: neither importing the package nor a help page loads what only a search needs."""

import json
import subprocess
import sys

import pytest

HEAVY = (
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
    "momentum", "doctor",
)  # fmt: skip
LIST_MODULES = "import json, sys; sys.stderr.write(json.dumps(sorted(sys.modules)))"
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
    """Return stdout, and the names of the modules that are loaded once the code has run."""
    command = [sys.executable, "-c", f"{code}\n{LIST_MODULES}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    return done.stdout, set(json.loads(done.stderr))


@pytest.mark.parametrize("code", ["import coarsefine", "import coarsefine.search.cli"])
def test_import_loads_nothing_heavy(code):
    """The package and its command line are imported without NumPy, Optuna or any model of a campaign."""
    _, modules = loaded_by(code)
    assert modules.isdisjoint(HEAVY)


def test_help_loads_nothing_heavy():
    """`coarsefine --help` lists every command and loads nothing that only a search needs."""
    text, modules = loaded_by(SHOW_HELP, "program")
    assert all(f" {command} " in text for command in COMMANDS)
    assert modules.isdisjoint(HEAVY)


def test_help_of_commands_loads_nothing_heavy_but_what_typer_needs():
    """The help page of each command loads no more; Typer itself needs pydantic to describe options."""
    text, modules = loaded_by(SHOW_HELP, "commands")
    assert text.count("Usage:") == len(COMMANDS)
    assert modules.isdisjoint(set(HEAVY) - {"pydantic"})
