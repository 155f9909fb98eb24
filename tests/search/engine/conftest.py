"""The long campaign, which the tests of worker processes disturb."""

import pytest
from campaigns import LONG, write_campaign
from stored import undisturbed_table


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    """Return the table of an undisturbed run of the long campaign on SQLite."""
    return undisturbed_table(tmp_path_factory.mktemp("expected"), **LONG)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with the long campaign."""
    return write_campaign(tmp_path, **LONG)
