from pathlib import Path

from coarsefine import Campaign, RepeatedFailure, retry, run

campaign = Campaign.model_validate(
    {
        "name": "fixed",
        "objective": "parabola:train",
        "stage": [{"name": "coarse", "trials": 8, "space": {"x": [0.1, 10.0]}}],
    }
)
Path("parabola.py").write_text("def train(point, seed, report):\n    return -(pont['x'] - 2) ** 2\n", "utf-8")
try:
    run(campaign)
except RepeatedFailure as error:  # the same failure in three trials in a row
    print(error)

Path("parabola.py").write_text("def train(point, seed, report):\n    return -((point['x'] - 2) ** 2)\n", "utf-8")
for stage in retry("fixed").stages:
    print(stage.name, "trains again", stage.trials)
print(run(campaign, accept_changes=True).winner.value)
