import os
import subprocess
import sys

import pytest

from search.campaign import Campaign

SMALL = """
name = "small"
seed = 3

[data]
dataset = "digits"

[model]
hidden = 10
batch = 50
epochs = 3

[[stage]]
name = "coarse"
trials = 9
eta = [0.01, 1.0]
lambda = [1e-6, 0.01]
stack = 4

[[stage]]
name = "fine"
trials = 6
carry = 2
stack = 4
narrow = { top = 3 }

[final]
epochs = 4
"""


@pytest.fixture
def small_file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL, "utf-8")
    return path


@pytest.fixture
def small(small_file):
    return Campaign.load(small_file)


def coarsefine(*arguments, cwd, **options):
    """Run the command line as a user does, in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k not in {"COARSEFINE_DATA", "COARSEFINE_CACHE"}}
    environment.update(options.pop("env", {}))
    command = [sys.executable, "-m", "search", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=240, **options
    )
