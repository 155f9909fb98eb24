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
def test_product_of_a_stack_equals_that_of_each_trial(trials, m, d, b, seed, add):
    """For any shape, a trial's products are the same bit for bit, alone or anywhere in a stack."""
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
def test_products_equal_numpys(trials, m, d, b, add):
    """The in-place products equal those that NumPy computes in float64."""
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


def test_result_for_two_threads_does_not_count_for_one():
    """A test of shared products with two BLAS threads, as in a notebook, does not count for one thread.

    OpenBLAS uses its kernels for Haswell, whose sums of these shapes differ, on every machine.
    """
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Haswell"}
    command = [sys.executable, "-c", _TRIED_UNDER_TWO_THREADS]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert result.stdout == "True\n", result.stderr


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


def test_trials_share_products_on_haswell_kernels():
    """Fifty rows are padded until five trials share one product; each trial's product has the same bits as alone."""
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _SHARED_ON_HASWELL]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert result.stdout == "1 True True False\n", result.stderr
