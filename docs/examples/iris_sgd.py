import optuna
from sklearn.datasets import load_iris
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

X, y = load_iris(return_X_y=True)
X_train, X_valid, y_train, y_valid = train_test_split(X, y, test_size=0.4, random_state=0)


def objective(trial):
    alpha = trial.suggest_float("alpha", 1e-5, 1e-1, log=True)
    loss = trial.suggest_categorical("loss", ["hinge", "log_loss", "modified_huber"])
    penalty = trial.suggest_categorical("penalty", [None, "l2", "l1"])
    classifier = SGDClassifier(alpha=alpha, loss=loss, penalty=penalty)

    for step in range(20):
        classifier.partial_fit(X_train, y_train, classes=[0, 1, 2])
        trial.report(classifier.score(X_valid, y_valid), step)
        if trial.should_prune():
            raise optuna.TrialPruned()

    trial.set_user_attr("training accuracy", classifier.score(X_train, y_train))
    return classifier.score(X_valid, y_valid)


if __name__ == "__main__":
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner())
    study.optimize(objective, n_trials=100)
    print(study.best_trial)
