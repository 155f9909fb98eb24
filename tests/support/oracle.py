"""The paper's network for one trial, as in its equations: slow, plain, and independent of `model`."""

import numpy as np


def softmax(s):
    e = np.exp(s - s.max(axis=0))
    return e / e.sum(axis=0)


class Oracle:
    """Weights, momentum and one update, equations (1)-(6); images are columns, as in the paper."""

    def __init__(self, W1, b1, W2, b2):
        self.theta = [W1.copy(), b1.copy(), W2.copy(), b2.copy()]
        self.v = [np.zeros_like(tensor) for tensor in self.theta]

    def probabilities(self, x):
        W1, b1, W2, b2 = self.theta
        h = np.maximum(0, W1 @ x + b1)
        return h, softmax(W2 @ h + b2)

    def cross_entropy(self, x, y):
        _, p = self.probabilities(x)
        return -np.log(p[y, np.arange(len(y))]).mean()

    def gradients(self, x, y, lam):
        W1, _, W2, _ = self.theta
        h, p = self.probabilities(x)
        g = p.copy()
        g[y, np.arange(len(y))] -= 1
        g /= len(y)
        back = (W2.T @ g) * (h > 0)
        return [
            back @ x.T + 2 * lam * W1,
            back.sum(axis=1, keepdims=True),
            g @ h.T + 2 * lam * W2,
            g.sum(axis=1, keepdims=True),
        ]

    def step(self, x, y, eta, lam, rho):
        g = self.gradients(x, y, lam)
        self.v = [rho * v + eta * gradient for v, gradient in zip(self.v, g, strict=True)]  # (5)
        self.theta = [theta - v for theta, v in zip(self.theta, self.v, strict=True)]  # (6)
