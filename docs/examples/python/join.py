from multiprocessing import get_context
from pathlib import Path

from coarsefine import Campaign, join, run

campaign = Campaign.load("small.toml")

if __name__ == "__main__":
    starter = get_context("spawn").Process(target=run, args=(campaign, "studies.db"))
    starter.start()
    while starter.is_alive() and not Path("studies.db").exists():
        starter.join(0.05)
    join(campaign, "studies.db", workers=2)  # returns when the last stage has ended
    starter.join()  # which also runs the final training
