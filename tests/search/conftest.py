import pytest
from small_campaign import SMALL

from search.campaign import Campaign


@pytest.fixture
def small_file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL, "utf-8")
    return path


@pytest.fixture
def small(small_file):
    return Campaign.load(small_file)
