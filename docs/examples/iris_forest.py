import optuna
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

X, y = load_iris(return_X_y=True)


def objective(trial):
    forest = RandomForestClassifier(
        n_estimators=trial.suggest_int("n_estimators", 5, 50, step=5),
        max_depth=trial.suggest_int("max_depth", 2, 32, log=True),
        max_features=trial.suggest_float("max_features", 0.25, 1.0, step=0.25),
    )
    accuracy = cross_val_score(forest, X, y, cv=3).mean()
    trial.set_user_attr("accuracy", accuracy)
    return 1.0 - accuracy


if __name__ == "__main__":
    study = optuna.create_study()
    study.optimize(objective, n_trials=100)
