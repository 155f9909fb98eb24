"""How values are written."""

import pytest

from coarsefine.search.campaign.estimate import Estimate
from coarsefine.search.campaign.metric import ACCURACY, VALUE


def test_no_negative_zero_is_written():
    """A value that is rounded to zero has no sign."""
    nearly_zero = Estimate(mean=-1e-17, error=0.002, low=-0.0033, high=0.0033, n=5)
    assert VALUE.spread(nearly_zero) == "0.0000 ± 0.0033"
    assert ACCURACY.spread(nearly_zero) == "0.00 ± 0.33"


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (12.3456, 0.66538, "12.35 ± 0.67"),
        (0.98346, 0.00996, "0.983 ± 0.010"),
        (-3078.43, 150.2, "-3080 ± 150"),
        (1.23456e-9, 3.217e-10, "1.23e-09 ± 0.32e-09"),
        (3.21e9, 1.1e8, "3.21e+09 ± 0.11e+09"),
        (0.5, 0.0, "0.5 ± 0"),
        (1.9561685391599979, 5.6e-15, "1.9562 ± 0"),
        (0.0013117, 6.2e-17, "0.0013117 ± 0"),
        (1.9561685391599979, 5.6e-11, "1.9562 ± 5.6e-11"),
        (5e-324, 5e-324, "4.9e-324 ± 4.9e-324"),
    ],
)
def test_error_has_two_digits_and_the_mean_ends_with_it(mean, half, text):
    """Half the interval of a function's value has two significant digits, and the mean is rounded to the same place."""
    assert VALUE.spread(Estimate(mean=mean, error=half, low=mean - half, high=mean + half, n=5)) == text


def test_rounding_error_of_a_difference_is_no_interval():
    """A difference's interval is compared with the values it is the difference of."""
    ahead = Estimate(mean=1.5e-5, error=1e-14, low=1.5e-5 - 3e-14, high=1.5e-5 + 3e-14, n=5)
    assert VALUE.spread(ahead) == "1.5e-05 ± 3e-14"
    assert VALUE.spread(ahead, -3078.4) == "1.5e-05 ± 0"
    alike = Estimate(mean=9.1353e-5, error=0.0, low=9.1353e-5, high=9.1353e-5, n=5)
    assert VALUE.spread(alike, 0.18) == "9.1e-05 ± 0"
    none = Estimate(mean=4e-14, error=1e-14, low=1e-14, high=7e-14, n=5)
    assert VALUE.spread(none, -3078.4) == "0 ± 0"
