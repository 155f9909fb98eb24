import time

from coarsefine import Campaign, Interrupted, run

campaign, end = Campaign.load("small.toml"), time.monotonic() + 0.5
try:
    run(campaign, stop=lambda: time.monotonic() > end)
except Interrupted as error:
    print(error)
print(run(campaign).state)  # continues, and ends with the same numbers as without the stop
