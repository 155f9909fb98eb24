from coarsefine import Campaign, run

status = run(Campaign.load("digits"))
print(status.winner.number, status.winner.value, status.final.test_accuracy)
