"""Fixtures of the browser tests: a server with campaigns, and pages that must not log errors."""

import os
from pathlib import Path

import pytest
from browser_campaigns import make_campaigns, serving
from playwright.sync_api import expect

TIMEOUT = 120_000
"""Milliseconds to wait for a page: long, because other work may share the machine."""
expect.set_options(timeout=TIMEOUT)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Create campaigns in a temporary folder's studies.db; return the folder."""
    folder = tmp_path_factory.mktemp("campaigns")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_campaigns()
    return folder


@pytest.fixture(scope="session")
def address(folder):
    """Serve the campaigns; yield the server's address."""
    with serving(folder) as address:
        yield address


@pytest.fixture
def visit(browser, address):
    """Return a function that opens a path of the server in a new browser context.

    After the test, the console must hold no error or warning (a violation of the content security policy logs one).
    There must be no uncaught exception and no request to another server. A test adds the exceptions that it
    expects to `visit.allowed`.
    """
    messages, requests, contexts = [], [], []

    def open_page(path, *, width=1280, height=900, at=address, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.set_default_timeout(TIMEOUT)
        context.on("console", lambda message: message.type in {"error", "warning"} and messages.append(message.text))
        context.on("weberror", lambda error: messages.append(str(error.error)))
        context.on("request", lambda request: requests.append(request.url))
        page = context.new_page()
        page.goto(at + path)
        return page

    open_page.allowed = []
    yield open_page
    for context in contexts:
        context.close()
    own = (f"{address}/", "data:", "blob:", *open_page.allowed)
    assert [text for text in messages if not any(part in text for part in open_page.allowed)] == []
    assert [url for url in requests if not url.startswith(own)] == []


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Return the folder for screenshots: COARSEFINE_SCREENSHOTS if it is set, a temporary folder otherwise."""
    given = os.environ.get("COARSEFINE_SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
