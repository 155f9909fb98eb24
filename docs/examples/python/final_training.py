from pathlib import Path

from coarsefine import read_export, train

export = read_export(Path("exports/small.json"))  # written by `coarsefine export small`
print(export.trial.study, export.trial.number, dict(export.trial.params))

result, study = train(export, output=Path("mine"))
print(result.test_accuracy, result.ensemble_accuracy, "recorded with", study)
