import zipfile

import numpy as np
import pytest

from coarsefine.model import Hyperparameters, Network, Training, TrainingSettings, evaluate
from coarsefine.model.datasets import load_digits
from coarsefine.model.errors import DataError


@pytest.fixture(scope="module")
def trained():
    """Return three networks after three epochs, and their images."""
    data = load_digits()
    training = Training.start([Hyperparameters(0.1, 1e-4, seed) for seed in range(3)], TrainingSettings(batch=50), data)
    for _ in range(3):
        training.run_epoch()
    return training.theta, data


@pytest.fixture
def saved(trained, tmp_path):
    """Return the file of those networks, and the network that was saved."""
    path = tmp_path / "deep" / "net.npz"
    network = Network.of(*trained)
    network.save(path)
    return path, network


def test_saved_networks_classify_as_the_trained_ones(trained, saved):
    """NumPy alone, with the formula of the docstring, gets the accuracies of the training from the file."""
    theta, data = trained
    path, _ = saved
    n = np.load(path)
    s = n["W2"] @ np.maximum(0, n["W1"] @ data.test.x.T + n["b1"]) + n["b2"]
    expected = [measured.accuracy for measured in evaluate(theta, data.test)]
    assert (s.argmax(axis=1) == data.test.y).mean(axis=1).tolist() == expected
    assert tuple(n["classes"]) == data.classes
    assert [file.name for file in path.parent.iterdir()] == ["net.npz"]


def test_probabilities_are_the_mean_of_all_networks(trained, saved):
    """An ensemble's probabilities are the mean of its networks' softmax and sum to one, also after loading."""
    theta, data = trained
    x = data.test.x[:40]
    p = np.exp(theta.W2 @ np.maximum(0, theta.W1 @ x.T + theta.b1) + theta.b2)
    expected = (p / p.sum(axis=1, keepdims=True)).mean(axis=0).T
    found = Network.load(saved[0]).probabilities(x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    assert Network.load(saved[0]).probabilities(x[:0]).shape == (0, 10)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_file_that_is_not_a_network_is_refused(tmp_path, content):
    """A file that is not a saved network raises a DataError that names it."""
    path = tmp_path / "net.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"net\.npz"):
        Network.load(path)


class Planted:
    """Create a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_planted_pickle_is_never_executed(saved, tmp_path):
    """An array of Python objects, which only unpickling could read, is refused and not unpickled."""
    path, network = saved
    arrays = {**dict(np.load(path)), "W1": np.array([Planted(tmp_path / "executed")], dtype=object)}
    np.savez(path, allow_pickle=True, **arrays)
    with pytest.raises(DataError, match="allow_pickle"):
        Network.load(path)
    assert not (tmp_path / "executed").exists()
    assert network.theta.W1.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("W1", lambda a: a[..., :-1]),
        ("W2", lambda a: a[:2]),
        ("b1", lambda a: a * np.nan),
        ("mean", lambda a: a.astype(int)),
        ("scale", lambda a: -a),
        ("shape", lambda a: a + 1),
        ("classes", lambda a: a[:-1]),
        ("b2", lambda _: None),
        ("W1", lambda a: a.astype(np.float16)),
        ("W1", lambda a: a.astype(np.float64)),
        ("shape", lambda _: np.array([4, 4, 4])),
        ("shape", lambda a: a * np.inf),
        ("limits", lambda a: a[:1]),
        ("limits", lambda a: a * np.nan),
        ("limits", lambda a: a[::-1]),
    ],
)
def test_networks_whose_arrays_do_not_fit_are_refused(saved, name, wrong):
    """Arrays that are missing, not finite, or of another shape or type raise a DataError."""
    path, _ = saved
    arrays = dict(np.load(path))
    arrays[name] = wrong(arrays[name])
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    with pytest.raises(DataError, match=r"net\.npz"):
        Network.load(path)


def test_file_that_was_cut_off_is_refused(saved):
    """A file without its end, or without a part of an array, raises a DataError."""
    path, _ = saved
    whole = path.read_bytes()
    for size in (100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError):
            Network.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("W1.npy", b"short")
    with pytest.raises(DataError):
        Network.load(path)
