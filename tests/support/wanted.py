"""What a test needs beyond Python: without it a user's test is skipped, in CI it fails."""

import os

import pytest


def want(what):
    """Skip, or in CI fail, for want of something; `what` is a sentence."""
    in_ci = os.environ.get("CI", "").lower() not in {"", "0", "false"}
    pytest.fail(what) if in_ci else pytest.skip(what)
