"""Every script in Python starts from any working directory."""

import pytest
from scripted import SCRIPTS, run_script


@pytest.mark.parametrize("name", ["bench", "chaos", "docs", "halving", "load", "reproduce", "selection", "wheels"])
def test_help_works_from_any_folder(name, tmp_path):
    """A script prints its help even if the working directory has modules of the same names."""
    (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')\n", "utf-8")
    (tmp_path / "model.py").write_text("raise SystemExit('nor this')\n", "utf-8")
    result = run_script(name, "--help", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"usage: {name}") or result.stdout.startswith(f"usage: scripts/{name}")


@pytest.mark.skipif(
    not (SCRIPTS.parent / ".venv").exists(), reason="the script would install it: run scripts/setup first"
)
def test_script_uses_the_python_of_the_setup(tmp_path):
    """If COARSEFINE_PYTHON is empty, a script runs the setup and uses its Python."""
    result = run_script("load", "--help", cwd=tmp_path, env={"COARSEFINE_PYTHON": ""})
    assert result.returncode == 0, result.stderr
