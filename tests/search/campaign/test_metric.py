"""How values are written."""

from coarsefine.search.campaign.metric import ACCURACY, VALUE
from coarsefine.search.campaign.winner import Estimate


def test_no_negative_zero_is_written():
    """A value that is rounded to zero has no sign."""
    nearly_zero = Estimate(mean=-1e-17, error=0.002, low=-0.0033, high=0.0033, n=5)
    assert VALUE.spread(nearly_zero) == "0.0000 ± 0.0033"
    assert ACCURACY.spread(nearly_zero) == "0.00 ± 0.33"
