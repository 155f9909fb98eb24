import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.products import descend, project

few = st.integers(1, 6)
sizes = st.integers(1, 70)


@settings(max_examples=300)
@given(few, sizes, sizes, st.integers(1, 40), st.integers(0, 2**32), st.booleans())
def test_product_of_a_stack_has_the_bits_of_each_trial_alone(trials, m, d, b, seed, add):
    """For any shape, what a trial's products give depends neither on who shares them nor on its place in the stack."""
    rng = np.random.default_rng(seed)
    W, x, S = (rng.standard_normal(shape, np.float32) for shape in ((trials, m, d), (b, d), (trials, m, b)))
    W_alone, S_alone = W.copy(), S.copy()
    project(W, x, S, add=add)
    for k in range(trials):
        project(W_alone[k : k + 1], x, S_alone[k : k + 1], add=add)
    assert np.array_equal(S, S_alone)
    descend(W, x, S)
    for k in range(trials):
        descend(W_alone[k : k + 1], x, S_alone[k : k + 1])
    assert np.array_equal(W, W_alone)


@given(few, sizes, sizes, st.integers(1, 40), st.booleans())
def test_products_are_numpys(trials, m, d, b, add):
    """The products in place are those that NumPy computes in float64."""
    rng = np.random.default_rng(0)
    W, x, S = (rng.standard_normal(shape) for shape in ((trials, m, d), (b, d), (trials, m, b)))
    expected = W @ x.T + (S if add else 0)
    project(W, x, S, add=add)
    np.testing.assert_allclose(S, expected, atol=1e-12)
    stepped = W - S @ x
    descend(W, x, S)
    np.testing.assert_allclose(W, stepped, atol=1e-9)
