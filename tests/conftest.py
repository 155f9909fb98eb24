import os
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests():
    """Keep images in a folder that is gone after the session: the user's own is no business of the tests."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("COARSEFINE_CACHE", folder)
        yield


@pytest.fixture(scope="session")
def cifar10_archive():
    """Where the user keeps CIFAR-10, by the user's own setting; without it a test is skipped, in CI it fails."""
    given = os.environ.get("COARSEFINE_DATA")
    if not given:
        wanted = "COARSEFINE_DATA is not set: it should name the official CIFAR-10 archive or its unpacked files."
        in_ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
        pytest.fail(wanted) if in_ci else pytest.skip(wanted)
    return Path(given)
