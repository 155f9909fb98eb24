import os
import shutil
import tempfile
from pathlib import Path

import postgres
import processes
import pytest
from hypothesis import settings
from wanted import want

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip

settings.register_profile("coarsefine", deadline=None)  # how fast the machine is today is no property of the code
settings.load_profile("coarsefine")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests():
    """Keep images in a folder that is gone after the session: the user's own is no business of the tests."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("COARSEFINE_CACHE", folder)
        yield


@pytest.fixture(scope="session", autouse=True)
def _password_of_the_tests():
    """Give the own server's password to all processes, also to those that are started before it."""
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get(postgres.VARIABLE):
            patch.setenv("PGPASSWORD", postgres.PASSWORD)
        yield


@pytest.fixture(autouse=True)
def _processes_of_the_test():
    """End the processes that a test started, also where it failed: they would slow down and disturb its neighbours."""
    yield
    processes.end_all()


@pytest.fixture(scope="session")
def cifar10_archive():
    """Where the user keeps CIFAR-10, by the user's own setting; without it a test is skipped, in CI it fails."""
    given = os.environ.get("COARSEFINE_DATA")
    if not given:
        want("COARSEFINE_DATA is not set: it should name the official CIFAR-10 archive or its unpacked files.")
    return Path(given)


@pytest.fixture(scope="session")
def postgres_server():
    """Return the tests' PostgreSQL server; without its programs a test is skipped, in CI it fails."""
    programs = postgres.find_programs()
    if programs is None:
        want(postgres.WANTED)
    server = postgres.Server(programs)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def own_server(postgres_server):
    """Return that server to a test that may stop it; it runs again after the test, even after one that failed."""
    yield postgres_server
    postgres_server.start()


@pytest.fixture(scope="session")
def server_url(request):
    """Return the URL of a database on a PostgreSQL server: the one the environment names, or the tests' own."""
    return os.environ.get(postgres.VARIABLE) or request.getfixturevalue("postgres_server").url("postgres")


@pytest.fixture
def new_database(server_url):
    """Return the URL of an empty PostgreSQL database."""
    with postgres.database(server_url) as url:
        yield url


@pytest.fixture(scope="module")  # Playwright keeps an event loop going, in which a later test could not run its own
def browser():
    """Return a Chromium, which asks nobody anything by itself; without it a test is skipped, in CI it fails."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only browser tests should wait for it

    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        want("There is no Chromium: install the package chromium, or google-chrome.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, chromium_sandbox=False, args=QUIET)
        yield chromium
        chromium.close()
