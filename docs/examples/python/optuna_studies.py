import optuna

for name in optuna.get_all_study_names("sqlite:///studies.db"):
    study = optuna.load_study(study_name=name, storage="sqlite:///studies.db")
    print(name, study.user_attrs["parent"], study.user_attrs["space"], study.best_value)
