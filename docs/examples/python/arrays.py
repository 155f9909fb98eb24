from sklearn.datasets import load_digits

from coarsefine import Campaign, Dataset, run

x, y = load_digits(return_X_y=True)
digits = Dataset.from_arrays(x.reshape(-1, 8, 8), y, scale=16, name="digits from memory")
campaign = Campaign.model_validate(
    {
        "name": "in-memory",
        "data": {"dataset": "arrays"},
        "model": {"batch": 20, "epochs": 3},
        "stage": [{"name": "coarse", "trials": 8, "eta": [0.001, 1.0], "lambda": [1e-7, 0.1]}],
        "final": {"epochs": 5},
    }
)
print(run(campaign, data=digits).final.test_accuracy)
