import numpy as np
import pytest

from coarsefine.model.datasets import Part, load_digits
from coarsefine.model.gradcheck import check_gradients
from coarsefine.model.network import Parameters, gradients


def test_gradients_agree_with_central_differences():
    """Analytic and numerical gradients of all four tensors agree to 1e-7 on real images."""
    train = load_digits().train
    checks = check_gradients(Part(train.x[:20], train.y[:20]), 10, 50, lam=0.01, sample=300, seed=0)
    assert [check.tensor for check in checks] == ["W1", "b1", "W2", "b2"]
    for check in checks:
        assert check.relative_error <= 1e-7
        assert check.checked > 0


def test_coordinates_at_a_kink_are_left_out_and_counted():
    """A coordinate whose hidden unit is at its kink is left out and counted; the others still agree."""
    x = np.zeros((4, 6), np.float32)  # every hidden unit is exactly 0 for every image
    (w1, b1, w2, b2) = check_gradients(Part(x, np.zeros(4, np.int64)), 4, 5, lam=0.0, sample=100, seed=0)
    assert (b1.kinks, b1.checked) == (5, 0)
    assert w1.kinks == w2.kinks == b2.kinks == 0
    assert b2.relative_error <= 1e-7


def test_wrong_gradient_is_detected(monkeypatch):
    """The check fails if the analytic gradient is wrong."""

    def wrong(*args):
        right = gradients(*args)
        right.W2[0, 0, 0] *= 1.01
        return right

    monkeypatch.setattr("coarsefine.model.gradcheck.gradients", wrong)
    train = load_digits().train
    checks = {
        c.tensor: c for c in check_gradients(Part(train.x[:20], train.y[:20]), 10, 10, lam=0.01, sample=500, seed=0)
    }
    assert checks["W2"].relative_error > 1e-6
    assert checks["W1"].relative_error <= 1e-7


@pytest.mark.parametrize("lam", [0.0, 0.3])
def test_stacked_gradients_are_those_of_each_trial(lam):
    """The gradients of a stack equal those of its trials alone, with each trial's λ."""
    train = load_digits().train
    x, y = train.x[:32].astype(np.float64), train.y[:32]
    together = gradients(Parameters.draw([1, 2], 64, 9, 10, np.float64), x, y, np.array([lam, 0.1]))
    alone = gradients(Parameters.draw([1], 64, 9, 10, np.float64), x, y, np.array([lam]))
    for both, one in zip(together, alone, strict=True):
        np.testing.assert_allclose(both[0], one[0], rtol=1e-12, atol=1e-15)
