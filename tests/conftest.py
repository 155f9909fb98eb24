"""Fixtures of all tests: isolation, data, a PostgreSQL server and a browser."""

import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path

import optuna_revisions  # noqa: F401 - makes new databases cheap
import postgres
import processes
import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits
from wanted import want

SLOWEST = (
    "test_console_blocks.py", "test_other_programs.py", "test_bench.py", "test_campaign_page.py", "test_pool.py",
    "test_wheel.py", "test_dask_cluster.py", "test_report.py", "test_command.py", "test_user_objective.py",
    "test_chaos.py", "test_terminal.py", "test_killed.py", "test_examples.py", "test_setup.py",
    "test_trial_processes.py", "test_network_settings.py", "test_direction.py", "test_postgresql.py",
    "test_postgresql_workers.py", "test_lease_queue.py", "test_live.py", "test_presets.py", "test_own_arrays.py",
    "test_bits.py", "test_optuna_objectives.py", "test_datasets_cache.py", "test_retry.py", "test_failures.py",
    "test_run.py", "test_load.py", "test_doctor.py", "test_reproduce.py",
)  # fmt: skip
"""Files that run first, so that no worker still has a long file when the others have finished."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip

settings.register_profile("coarsefine", deadline=None)  # a slow machine must not fail a test
settings.load_profile("coarsefine")


def pytest_collection_modifyitems(items):
    """Put the tests of the slowest files first."""
    places = {name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_collection_finish():
    """Exempt all that the tests have imported from garbage collection, which would look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _single_threaded_blas():
    """Limit BLAS to one thread in this process, as in every training: several would compete with the other tests."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session", autouse=True)
def _temporary_cache():
    """Cache images in a temporary folder, so that the tests leave the user's cache alone."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("COARSEFINE_CACHE", folder)
        yield


@pytest.fixture(scope="session", autouse=True)
def _database_password():
    """Set PGPASSWORD before any process starts, so that every process can reach the tests' PostgreSQL server."""
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get(postgres.VARIABLE):
            patch.setenv("PGPASSWORD", postgres.PASSWORD)
        yield


@pytest.fixture(autouse=True)
def _end_processes():
    """End the processes that a test started, even if it failed, so that they cannot disturb other tests."""
    yield
    processes.end_all()


@pytest.fixture(autouse=True)
def _forget_modules(tmp_path_factory):
    """Forget the modules that a test imported from its folder, since another test may have one of the same name."""
    before = {*sys.modules}
    yield
    folder = str(tmp_path_factory.getbasetemp())
    for name in {*sys.modules} - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(folder):
            del sys.modules[name]


@pytest.fixture(scope="session")
def cifar10_archive():
    """Return the path in COARSEFINE_DATA; if it is not set, skip the test, or fail it in CI."""
    given = os.environ.get("COARSEFINE_DATA")
    if not given:
        want("COARSEFINE_DATA is not set: it should name the official CIFAR-10 archive or its unpacked files.")
    return Path(given)


@pytest.fixture(scope="session")
def postgres_server():
    """Start a PostgreSQL server; if its programs are missing, skip the test, or fail it in CI."""
    programs = postgres.find_programs()
    if programs is None:
        want(postgres.WANTED)
    server = postgres.Server(programs)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def own_server(postgres_server):
    """Return the PostgreSQL server to a test that may stop it, and start it again after the test."""
    yield postgres_server
    postgres_server.start()


@pytest.fixture(scope="session")
def server_url(request):
    """Return a database URL on the PostgreSQL server that the environment names, or on the tests' own."""
    return os.environ.get(postgres.VARIABLE) or request.getfixturevalue("postgres_server").url("postgres")


@pytest.fixture
def new_database(server_url):
    """Return the URL of an empty PostgreSQL database."""
    with postgres.database(server_url) as url:
        yield url


@pytest.fixture(scope="module")  # Playwright's event loop would keep later tests from running their own
def browser():
    """Launch Chromium; if it is missing, skip the test, or fail it in CI."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only browser tests need it

    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        want("There is no Chromium: install the package chromium, or google-chrome.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, chromium_sandbox=False, args=QUIET)
        yield chromium
        chromium.close()
