import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from coarsefine import batched

x, x_valid, y, y_valid = train_test_split(*load_diabetes(return_X_y=True), random_state=0)


@batched
def train(points, seeds, report):
    rates = np.array([point["rate"] for point in points])
    weights = np.stack([np.random.default_rng(seed).normal(size=x.shape[1]) for seed in seeds])
    going = range(len(points))
    for _ in range(report.epochs):
        errors = weights @ x.T - (y - y.mean())
        weights -= rates[:, None] * (errors @ x)
        going = report([np.mean((x_valid @ weights[i] + y.mean() - y_valid) ** 2) for i in going])
