"""The function of `parabola.toml`. Its digest is stored: change nothing in this file."""


def train(point, seed, report):
    report(1 - point["x"] ** 2 + seed % 97 / 1000)
