import os
import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coarsefine.model.products import descend, project

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


_TRIED_UNDER_TWO_THREADS = """
import numpy as np
from threadpoolctl import threadpool_limits
from coarsefine.model.products import project

def products(trials):
    S = np.empty((len(trials), 50, 50), np.float32)
    project(trials, x, S, add=False)
    return S

rng = np.random.default_rng(0)
W, x = rng.standard_normal((4, 50, 64), np.float32), rng.standard_normal((50, 64), np.float32)
with threadpool_limits(2):
    products(W)
with threadpool_limits(1):
    print(np.array_equal(products(W), np.concatenate([products(W[k : k + 1]) for k in range(4)])))
"""


def test_what_holds_for_two_threads_is_not_taken_to_hold_for_one():
    """Products that two threads shared before, as in a notebook, do not make one thread's trust what it has not tried.

    OpenBLAS is told to take its kernels for Haswell, with which sums of these shapes differ, on whatever machine.
    """
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Haswell"}
    command = [sys.executable, "-c", _TRIED_UNDER_TWO_THREADS]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert told.stdout == "True\n", told.stderr


_SHARED_ON_HASWELL = """
import numpy as np
from unittest.mock import patch
from coarsefine.model import products

rng = np.random.default_rng(0)
W, x = rng.standard_normal((5, 50, 768), np.float32), rng.standard_normal((100, 768), np.float32)
filled = products.padded(W)
products.projected(filled, x)
with patch.object(products, "_gemm", wraps=products._gemm) as gemm:
    S = products.projected(filled, x)[:, :50]
alone = np.concatenate([products.projected(products.padded(W[k : k + 1]), x)[:, :50] for k in range(5)])
print(gemm.call_count, np.array_equal(S, alone), np.array_equal(filled[:, :50], W), filled[:, 50:].any())
np.testing.assert_allclose(S, W @ x.T, rtol=1e-4, atol=1e-3)
"""


def test_trials_share_products_on_haswell_kernels_too():
    """Fifty rows are filled up until five trials share one product; each still has the bits it has alone."""
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _SHARED_ON_HASWELL]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert told.stdout == "1 True True False\n", told.stderr
