"""How values are written."""

from coarsefine.search.campaign.metric import ACCURACY, VALUE
from coarsefine.search.campaign.winner import Estimate


def test_no_negative_zero_is_written():
    """A value that is rounded to zero has no sign."""
    assert VALUE.spread(Estimate(-1e-17, -0.0033, 0.0033)) == "0.0000 ± 0.0033"
    assert ACCURACY.spread(Estimate(-1e-17, -0.0033, 0.0033)) == "0.00 ± 0.33"
