"""State what a test needs beyond Python: without it a user's test is skipped, and in CI it fails."""

import os

import pytest


def want(what):
    """Skip the test, or in CI fail it; `what` is a sentence that names what is missing."""
    in_ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
    pytest.fail(what) if in_ci else pytest.skip(what)
