"""A campaign of seconds on real digits, and the means to run and compare it."""

import os
import subprocess
import sys

import optuna

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

HALVING = """
name = "small"
seed = 5

[data]
dataset = "digits"

[model]
hidden = 50
batch = 5
epochs = 12

[[stage]]
name = "coarse"
trials = 12
eta = [0.001, 1.0]
lambda = [1e-6, 0.01]
pruner = "halving"
rungs = [2, 5]
stack = 5

[[stage]]
name = "fine"
trials = 12
carry = 1
pruner = "halving"
narrow = { top = 3 }
stack = 5

[final]
epochs = 2
"""

WIDE = """
name = "small"
seed = 7

[data]
dataset = "digits"

[model]
lambda = 1e-4
epochs = 6
mirror = true

[[stage]]
name = "coarse"
trials = 16
eta = [0.01, 1.0]
rho = { uniform = [0.5, 0.95] }
hidden = { integer = [10, 30], step = 10 }
batch = { choice = [20, 50] }
pruner = "halving"
rungs = [1, 3]
stack = 4

[[stage]]
name = "fine"
trials = 10
carry = 2
narrow = { top = 4 }

[confirm]
top = 3
seeds = 2

[final]
epochs = 4
"""
"""Four searched settings, of each kind of range; the network's shape is among them."""


def coarsefine(*arguments, cwd, prefix=(), **options):
    """Run the command line as a user does, in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "COARSEFINE_DATA"}
    environment.update(options.pop("env", {}))
    command = [*prefix, sys.executable, "-m", "coarsefine", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=240, **options
    )


def run_in(folder, text):
    """Write a campaign into a folder as small.toml; return the folder."""
    (folder / "small.toml").write_text(text, "utf-8")
    return folder


def table(place):
    """Return what an undisturbed run must share with any other: every number, point, seed and epoch's values."""
    storage = optuna.storages.RDBStorage(str(place) if "://" in str(place) else f"sqlite:///{place}")
    rows = {}
    for study in optuna.get_all_study_names(storage):
        for trial in optuna.load_study(study_name=study, storage=storage).trials:
            attrs = {k: trial.user_attrs.get(k) for k in ("seed", "train_loss", "validation_loss", "reason")}
            rows[study, trial.number] = (trial.state, trial.params, trial.values, trial.intermediate_values, attrs)
    storage.remove_session()
    storage.engine.dispose()
    return rows
