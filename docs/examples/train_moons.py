import argparse
import json
import os
from pathlib import Path

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--hidden", type=int, default=8)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--epochs", type=int, default=6)
args = parser.parse_args()

folder = Path(os.environ.get("COARSEFINE_FOLDER", "."))
reports = Path(os.environ.get("COARSEFINE_REPORT", "reports.jsonl"))

angle = np.random.default_rng(1).uniform(0, np.pi, 600)
upper = np.arange(600) % 2 == 0
x = np.stack(
    [np.where(upper, 1, -1) * np.cos(angle) + ~upper, np.where(upper, 1, -1) * np.sin(angle) + 0.5 * ~upper], 1
)
x += np.random.default_rng(2).normal(0, 0.15, x.shape)
x_valid, y_valid, x, y = x[:200], upper[:200], x[200:], upper[200:]

random = np.random.default_rng(args.seed)
W, w = random.normal(0, 1, (2, args.hidden)), random.normal(0, 1, args.hidden)

for epoch in range(1, args.epochs + 1):
    for batch in random.permutation(len(x)).reshape(-1, 20):
        h = np.tanh(x[batch] @ W)
        error = 1 / (1 + np.exp(-h @ w)) - y[batch]
        W -= args.lr * x[batch].T @ (np.outer(error, w) * (1 - h**2)) / 20
        w -= args.lr * h.T @ error / 20
    logits = np.tanh(x_valid @ W) @ w
    loss = np.logaddexp(0, np.where(y_valid, -logits, logits)).mean()
    accuracy = ((logits > 0) == y_valid).mean()
    print(f"epoch {epoch}: accuracy {accuracy:.3f}, loss {loss:.3f}")
    with reports.open("a") as file:
        file.write(json.dumps({"value": accuracy, "loss": loss, "epoch": epoch}) + "\n")

np.savez(folder / "weights.npz", W=W, w=w)
