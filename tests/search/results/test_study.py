import pytest

from coarsefine.model.datasets import Counts
from coarsefine.search.results.study import Study

DESCRIPTION = "digits, 1,197/300/299 images for training, validation, test (split seed 0)"


@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ({"images": {"train": 7, "validation": 3, "test": 5}, "data": {"description": DESCRIPTION}}, Counts(7, 3, 5)),
        ({"data": {"description": DESCRIPTION}}, Counts(1197, 300, 299)),
        ({"data": {"description": "images"}}, None),
        ({"objective": {"name": "module:function"}}, None),
    ],
)
def test_study_counts_its_images(attrs, expected):
    """A study stores the numbers; an earlier version has them only in the description of its data."""
    assert Study(1, "small/coarse", attrs, ()).images == expected
