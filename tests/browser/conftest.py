import os
from pathlib import Path

import pytest
from browser_campaigns import make_campaigns, serving
from playwright.sync_api import expect

PATIENCE = 120_000
"""Milliseconds that a page may take on a busy machine for what it does at once on an idle one."""
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Return a folder whose studies.db holds the campaigns."""
    folder = tmp_path_factory.mktemp("campaigns")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_campaigns()
    return folder


@pytest.fixture(scope="session")
def address(folder):
    """Return where the campaigns are served."""
    with serving(folder) as address:
        yield address


@pytest.fixture
def visit(browser, address):
    """Return a function that opens a path of the server as a new user; afterwards nothing may have been amiss.

    That is: no error nor warning on the console, where refusals by the content security policy are told too, no
    uncaught exception, and no request to another server. What a test expects of these goes into `forgiven`.
    """
    complaints, requests, contexts = [], [], []

    def go(path, *, width=1280, height=900, at=address, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.on("console", lambda message: message.type in {"error", "warning"} and complaints.append(message.text))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("request", lambda request: requests.append(request.url))
        page = context.new_page()
        page.goto(at + path)
        return page

    go.forgiven = []
    yield go
    for context in contexts:
        context.close()
    own = (f"{address}/", "data:", "blob:", *go.forgiven)
    assert [told for told in complaints if not any(known in told for known in go.forgiven)] == []
    assert [url for url in requests if not url.startswith(own)] == []


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Return the folder that screenshots go to: the one COARSEFINE_SCREENSHOTS names, or one that is thrown away."""
    given = os.environ.get("COARSEFINE_SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
