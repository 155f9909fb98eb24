"""Every script in Python starts from any working directory."""

import re
import subprocess
import sys

import pytest
from scripted import SCRIPTS, run_script

MODULES = {
    "bench": "benchmarks", "chaos": "chaos_runs", "docs": "documentation", "halving": "halving", "load": "loads",
    "reproduce": "reproduction", "selection": "selection", "wheels": "wheels",
}  # fmt: skip
RECORD = '#!/bin/sh\necho "$PYTHONPATH" >> "$RECORD"\necho "$@" >> "$RECORD"\n'
PRINT_HELPS = """
import contextlib, runpy, sys
for module in sys.argv[1:]:
    sys.argv[1:] = ["--help"]
    with contextlib.suppress(SystemExit):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def test_help_works_from_any_folder(tmp_path):
    """A script prints its help even if the working directory has modules of the same names.

    Each script starts a program that records its arguments; then one interpreter prints all helps, which imports the
    packages once.
    """
    for name in (*MODULES, *MODULES.values(), "model"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')\n", "utf-8")
    python, record = tmp_path / "python", tmp_path / "record"
    python.write_text(RECORD, "utf-8")
    python.chmod(0o755)
    for name in MODULES:
        run_script(name, "--help", cwd=tmp_path, env={"COARSEFINE_PYTHON": str(python), "RECORD": str(record)})
    paths, calls = record.read_text("utf-8").splitlines()[::2], record.read_text("utf-8").splitlines()[1::2]
    assert calls == [f"-P -m {module} --help" for module in MODULES.values()]
    (path,) = set(paths)
    helps = subprocess.run(
        [sys.executable, "-P", "-c", PRINT_HELPS, *MODULES.values()], cwd=tmp_path, env={"PYTHONPATH": path},
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert re.findall(r"^usage: (?:scripts/)?(\w+)", helps.stdout, re.MULTILINE) == list(MODULES), helps.stderr


@pytest.mark.skipif(
    not (SCRIPTS.parent / ".venv").exists(), reason="the script would install it: run scripts/setup first"
)
def test_script_uses_the_python_of_the_setup(tmp_path):
    """If COARSEFINE_PYTHON is empty, a script runs the setup and uses its Python."""
    result = run_script("docs", "--help", cwd=tmp_path, env={"COARSEFINE_PYTHON": ""})
    assert result.returncode == 0, result.stderr
