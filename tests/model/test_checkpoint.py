import numpy as np
import pytest

from model import Hyperparameters, Network, Settings, Training, evaluate
from model.datasets import load_digits
from model.errors import DataError


def test_saved_network_classifies_as_the_trained_one(tmp_path):
    """Weights read back, applied as the docstring's formula says, give the accuracy of the training."""
    data = load_digits()
    training = Training.start([Hyperparameters(0.1, 1e-4, 0)], Settings(batch=50), data)
    for _ in range(3):
        training.run_epoch()
    Network.of(training.theta, 0, data).save(tmp_path / "deep" / "net.npz")
    net = Network.load(tmp_path / "deep" / "net.npz")
    s = net.W2 @ np.maximum(0, net.W1 @ data.test.x.T + net.b1[:, None]) + net.b2[:, None]
    assert (s.argmax(axis=0) == data.test.y).mean() == evaluate(training.theta, data.test)[0].accuracy
    assert net.classes == data.classes
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["net.npz"]


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_file_that_is_no_network_is_refused(tmp_path, content):
    """Whatever is not a saved network is a DataError that names the file."""
    path = tmp_path / "net.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"net\.npz"):
        Network.load(path)


def test_pickled_arrays_are_never_loaded(tmp_path):
    """An array of Python objects, which only unpickling could read, is refused."""
    path = tmp_path / "net.npz"
    np.savez(path, allow_pickle=True, W1=np.array([object()], dtype=object))
    with pytest.raises(DataError):
        Network.load(path)
