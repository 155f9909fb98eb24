"""Read what a storage holds."""

import sqlite3
from contextlib import closing

import optuna
from campaigns import write_campaign

from coarsefine import Campaign, run

FORGET_SEAL = "DELETE FROM study_system_attributes WHERE key LIKE 'coarsefine:%'"
"""The statement after which studies are like those of earlier versions, of which an edit is not known."""


def forget_seal(path):
    """Make the studies of a file like those of earlier versions."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(FORGET_SEAL)


def undisturbed_table(folder, **changes):
    """Run a changed small campaign in a folder to its end, in this process, on SQLite; return its table."""
    write_campaign(folder, **changes)
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    return table(folder / "studies.db")


def table(place):
    """Return each trial's state, parameters, values and seed: what equal campaigns share bit for bit."""
    storage = optuna.storages.RDBStorage(str(place) if "://" in str(place) else f"sqlite:///{place}")
    rows = {}
    for study in optuna.get_all_study_names(storage):
        for trial in optuna.load_study(study_name=study, storage=storage).trials:
            attrs = {k: trial.user_attrs.get(k) for k in ("seed", "train_loss", "validation_loss", "reason")}
            rows[study, trial.number] = (trial.state, trial.params, trial.values, trial.intermediate_values, attrs)
    storage.remove_session()
    storage.engine.dispose()
    return rows


def counted(folder, query):
    """Return the number that a query gives, 0 while there is no storage."""
    path = folder / "studies.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        return connection.execute(query).fetchone()[0]


def slots(folder):
    """Return how many trials the storage holds."""
    return counted(folder, "SELECT count(*) FROM trials")


def ended(folder):
    """Return how many trials have ended."""
    return counted(folder, "SELECT count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED', 'FAIL')")


def epochs_recorded(folder):
    """Return how many epochs of trials the storage holds."""
    return counted(folder, "SELECT count(*) FROM trial_intermediate_values")
