"""Fixtures of the search tests: campaigns, storages, a server and the command line."""

import shutil
import sys

import postgres
import pytest
from campaigns import write_campaign
from serving import serving

from coarsefine.search.campaign.campaign import Campaign
from coarsefine.search.cli import main
from coarsefine.search.engine.run import run
from coarsefine.search.storage.lease_owner import Owner
from coarsefine.search.storage.location import locate
from coarsefine.search.storage.opening import create_storage, open_storage


@pytest.fixture
def small_file(tmp_path):
    """Write the small campaign; return the path of its file."""
    return write_campaign(tmp_path) / "small.toml"


@pytest.fixture
def small(small_file):
    """Return the small campaign."""
    return Campaign.load(small_file)


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    """Return an address at which no storage exists yet, on each database."""
    return str(tmp_path / "studies.db") if request.param == "sqlite" else request.getfixturevalue("new_database")


@pytest.fixture(scope="session")
def made_file(tmp_path_factory):
    """Return a SQLite file with empty tables; copying it is faster than creating one."""
    path = tmp_path_factory.mktemp("made") / "studies.db"
    create_storage(locate(path)).close()
    return path


@pytest.fixture(scope="session")
def made_database(server_url):
    """Return a PostgreSQL database with tables; emptying it is faster than creating one."""
    with postgres.database(server_url) as url:
        create_storage(locate(url)).close()
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request, tmp_path):
    """Return the location of a storage with empty tables, on each database."""
    if request.param == "sqlite":
        return locate(shutil.copy(request.getfixturevalue("made_file"), tmp_path / "studies.db"))
    url = request.getfixturevalue("made_database")
    postgres.execute(url, "TRUNCATE studies, lease RESTART IDENTITY CASCADE")
    return locate(url)


@pytest.fixture
def opened(location):
    """Return a function that opens the storage as another worker; the storage is closed after the test."""
    storages = []

    def open_one(**options):
        storages.append(open_storage(location, writing=True, **options))
        return storages[-1]

    yield open_one
    for storage in storages:
        storage.close()


@pytest.fixture
def dying(opened):
    """Return a function that opens the storage as a worker of another machine, whose leases expire at once."""

    def open_dying():
        storage = opened(lease_seconds=-1.0)
        storage.queue.owner = Owner(machine="another kernel")
        return storage

    return open_dying


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """Run the small campaign to its end, with some diverged trials; return its folder."""
    folder = write_campaign(tmp_path_factory.mktemp("searched"), stage={"coarse": {"eta": [0.01, 1e5]}})
    run(Campaign.load(folder / "small.toml"), folder / "studies.db")
    return folder


@pytest.fixture
def copied(searched, tmp_path):
    """Return a copy of that storage, which the test may change."""
    return shutil.copy(searched / "studies.db", tmp_path / "studies.db")


@pytest.fixture(scope="session")
def client(searched):
    """Return a client of a server that serves the searched storage with the default settings."""
    with serving(searched / "studies.db") as served:
        yield served


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """Return a function that runs a command in an empty folder and returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COARSEFINE_DATA", raising=False)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["coarsefine", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
