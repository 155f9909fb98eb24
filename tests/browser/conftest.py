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


@pytest.fixture(scope="module")
def window(browser):
    """Return a function that returns the window with some options, the same for all tests: opening one is slow."""
    opened = {}

    def window_with(**options):
        key = frozenset(options.items())
        if key not in opened:
            context = browser.new_context(**options)
            context.set_default_timeout(TIMEOUT)
            opened[key] = context.new_page()
        return opened[key]

    yield window_with
    for page in opened.values():
        page.context.close()


@pytest.fixture
def visit(window, address):
    """Return a function that opens a path of the server in a window in which nothing is stored.

    After the test, the console must hold no error or warning (a violation of the content security policy logs one).
    There must be no uncaught exception and no request to another server. A test adds the exceptions that it
    expects to `visit.allowed`.
    """
    messages, requests, visited = [], [], set()
    watched = {
        "console": lambda message: message.type in {"error", "warning"} and messages.append(message.text),
        "pageerror": lambda error: messages.append(str(error)),
        "request": lambda request: requests.append(request.url),
    }

    def open_page(path, *, width=1280, height=900, at=address, **options):
        page = window(**options)
        if page not in visited:
            visited.add(page)
            for event, record in watched.items():
                page.on(event, record)
        page.set_viewport_size({"width": width, "height": height})
        page.goto(at + path)
        return page

    open_page.allowed = []
    yield open_page
    for page in visited:
        for event, record in watched.items():
            page.remove_listener(event, record)
        page.evaluate("localStorage.clear()")
        page.goto("about:blank")
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
