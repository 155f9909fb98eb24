"""The long campaign, which the tests of worker processes disturb."""

import pytest
from campaigns import LONG, write_campaign
from stored import table

from coarsefine import Campaign, run


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    """Return the table of an undisturbed run of the long campaign on SQLite."""
    folder = write_campaign(tmp_path_factory.mktemp("expected"), **LONG)
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    return table(folder / "studies.db")


@pytest.fixture
def folder(tmp_path):
    """Return a folder with the long campaign."""
    return write_campaign(tmp_path, **LONG)
