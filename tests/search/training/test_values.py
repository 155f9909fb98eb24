"""Test what of a function's or a command's reports is stored."""

import numpy as np
import pytest

from coarsefine.search.training.user_code.values import judge


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("loss/é", "loss/é"),
        ("a\0b", "a�b"),
        ("\ud800", "�"),
        ("\x1b[31mred", "�[31mred"),
        ("n" * 99, "n" * 64),
        (3, "3"),
    ],
)
def test_names_of_metrics_are_printable(given, stored):
    """A metric's name can be written into every file, page and terminal, whatever the key was."""
    assert judge({"value": 1.0, given: 2.0}, 1).metrics == {stored: 2.0}
    if isinstance(given, str):
        assert judge(1.0, 1, more={given: 2.0}).metrics == {stored: 2.0}


@pytest.mark.parametrize(
    "value", [np.ma.masked, np.ma.array([0.5], mask=[True]), np.ma.array([1.0, 2.0], mask=True).mean()]
)
def test_masked_value_is_no_number(value):
    """The mean of masked values fails its trial; it is not 0."""
    assert judge(value, 1).failure == "its value of epoch 1 is masked, no number"
    assert judge(np.ma.array([0.5]), 1).value == 0.5
