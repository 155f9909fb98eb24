from coarsefine import Campaign, run

status = run(Campaign.load("small.toml"))  # or a preset, such as "digits"
print(status.winner.number, status.winner.value, status.final.test_accuracy)
