import shutil

import postgres
import pytest
from small_campaign import SMALL

from search.campaign import Campaign
from search.database import locate
from search.storage import make_storage, open_storage


@pytest.fixture
def small_file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL, "utf-8")
    return path


@pytest.fixture
def small(small_file):
    return Campaign.load(small_file)


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    """Return a place for studies where nothing is yet, on each database."""
    return str(tmp_path / "studies.db") if request.param == "sqlite" else request.getfixturevalue("new_database")


@pytest.fixture(scope="session")
def made_file(tmp_path_factory):
    """A SQLite file with empty tables, to be copied: that is faster than making one."""
    path = tmp_path_factory.mktemp("made") / "studies.db"
    make_storage(locate(path)).close()
    return path


@pytest.fixture(scope="session")
def made_database(server_url):
    """A PostgreSQL database with tables, to be emptied: that is faster than making one."""
    with postgres.database(server_url) as url:
        make_storage(locate(url)).close()
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request, tmp_path):
    """Return where empty tables are, on each database."""
    if request.param == "sqlite":
        return locate(shutil.copy(request.getfixturevalue("made_file"), tmp_path / "studies.db"))
    url = request.getfixturevalue("made_database")
    postgres.execute(url, "TRUNCATE studies, lease RESTART IDENTITY CASCADE")
    return locate(url)


@pytest.fixture
def opened(location):
    """Return a function that opens the storage as one more worker, and closes it after the test."""
    storages = []

    def open_one(**options):
        storages.append(open_storage(location, writing=True, **options))
        return storages[-1]

    yield open_one
    for storage in storages:
        storage.close()
