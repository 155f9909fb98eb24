"""Every script that measures starts, wherever it is called from."""

import pytest
from scripted import SCRIPTS, run_script


@pytest.mark.parametrize("name", ["bench", "chaos", "halving", "load", "reproduce", "selection"])
def test_help_is_had_from_any_folder(name, tmp_path):
    """A script says what it does; modules that happen to lie where it is called from are not its own."""
    (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')\n", "utf-8")
    (tmp_path / "model.py").write_text("raise SystemExit('nor this')\n", "utf-8")
    answer = run_script(name, "--help", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(f"usage: {name}") or answer.stdout.startswith(f"usage: scripts/{name}")


@pytest.mark.skipif(not (SCRIPTS.parent / ".venv").exists(), reason="it would be installed: call scripts/setup first")
def test_python_is_that_of_the_setup(tmp_path):
    """Where no other Python is named, a script sets up, and takes the one it set up."""
    answer = run_script("load", "--help", cwd=tmp_path, env={"COARSEFINE_PYTHON": ""})
    assert answer.returncode == 0, answer.stderr
