"""Optuna objectives, as users write them, that the tests search."""

import optuna

EPOCHS = 6


def objective(trial):
    """Report the epochs 0, 10, 20 …, each twice, and return another value than the last that is reported."""
    x = trial.suggest_float("x", 0.0, 1.0)
    kind = trial.suggest_categorical("kind", [None, "other"])
    trial.set_user_attr("number of the trial", trial.number)
    for step in range(0, 10 * EPOCHS, 10):
        trial.report(x - 1 / (1 + step), step)
        trial.report(99.0, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x + 1 + (kind is None)


def never_asks(trial):
    """Report without asking `should_prune`: the report after the rung ends the call."""
    trial.suggest_categorical("kind", [None, "other"])
    x = trial.suggest_float("x", 0.0, 1.0)
    for step in range(EPOCHS):
        trial.report(x, step)
    trial.set_user_attr("finished", True)
    return x


def resumes(trial):
    """Go on after the epoch that the trial's folder names, and end there at each rung."""
    x, _ = trial.suggest_float("x", 0.0, 1.0), trial.suggest_categorical("kind", [None, "other"])
    file = trial.folder / "epoch"
    done = int(file.read_text()) if file.exists() else 0
    for epoch in range(done + 1, trial.epochs + 1):
        file.write_text(str(epoch))
        trial.report(x - 1 / epoch, 100 * epoch, epoch=epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x


def stops_early(trial):
    """Return after fewer reports than the others if the first value is low."""
    x, _ = trial.suggest_float("x", 0.0, 1.0), trial.suggest_categorical("kind", [None, "other"])
    for step in range(2 if x < 0.5 else EPOCHS):
        trial.report(x, step)
    return 10 * x


def reports_too_often(trial):
    x, _ = trial.suggest_float("x", 0.0, 1.0), trial.suggest_categorical("kind", [None, "other"])
    for step in range(EPOCHS + 1):
        trial.report(x, step)
    return x


def prunes_itself(trial):
    """End some trials before they ask for all parameters, others after a report, without being told to."""
    x = trial.suggest_float("x", 0.0, 1.0)
    trial.set_user_attr("x", x)
    if x > 0.7:
        raise optuna.TrialPruned("x is too large")
    trial.suggest_categorical("kind", [None, "other"])
    trial.report(x, 0)
    if x > 0.4:
        raise optuna.TrialPruned
    return x


def takes_our_names(trial):
    """Store attributes with names that Coarsefine uses itself."""
    trial.suggest_categorical("kind", [None, "other"])
    for name in ("seed", "ended", "reason", "metrics", "train_loss", "user_attrs", "earlier_failures"):
        trial.set_user_attr(name, "the objective's")
    return trial.suggest_float("x", 0.0, 1.0)


def fails(trial):
    trial.set_user_attr("reached", trial.suggest_float("x", 0.0, 1.0))
    raise OSError("no data")


def branches(trial):
    if trial.suggest_categorical("kind", [None, "other"]) is None:
        return trial.suggest_float("x", 0.0, 1.0)
    return 0.5


def asks_for_another(trial):
    return trial.suggest_int("depth", 1, 9)


def asks_for_whole_numbers(trial):
    return trial.suggest_int("x", 1, 9)


def draws(trial):
    """Return a value that only the global generators decide."""
    import random  # noqa: PLC0415 - as in a notebook

    import numpy as np  # noqa: PLC0415

    trial.suggest_float("x", 0.0, 1.0), trial.suggest_categorical("kind", [None, "other"])
    return random.random() + np.random.rand()  # noqa: NPY002, S311
