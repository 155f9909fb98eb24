"""Run the scripts as a user does."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"


def run_script(name, *arguments, cwd, without=(), env=None, timeout=280):
    """Run a script with the tests' Python, without some environment variables; return the completed process."""
    inherited = {key: value for key, value in os.environ.items() if key not in without}
    environment = {**inherited, "COARSEFINE_PYTHON": sys.executable, **(env or {})}
    command = [SCRIPTS / name, *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=timeout
    )  # fmt: skip
