from coarsefine import Campaign, Status, run

status: Status = run(Campaign.load("small.toml"))
for stage in status.stages:
    print(stage.name, stage.completed, "of", stage.trials, "trials; the best:", stage.best[0].value)
print("seconds:", status.seconds)
print("as JSON:", sorted(status.as_dict()))
