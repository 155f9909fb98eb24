from coarsefine import Campaign, run

campaign = Campaign.model_validate(
    {
        "name": "in-python",
        "seed": 1,
        "data": {"dataset": "digits"},
        "model": {"batch": 20, "epochs": 3},
        "stage": [
            {"name": "coarse", "trials": 8, "eta": [0.001, 1.0], "lambda": [1e-7, 0.1]},
            {"name": "fine", "trials": 4, "narrow": {"top": 3}},
        ],
        "final": {"epochs": 5},
    }
)

if __name__ == "__main__":  # two worker processes import this file
    print(run(campaign, workers=2).winner)
