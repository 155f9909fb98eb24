"""Measure how long Chromium takes to draw the campaign's page, if Chromium and Playwright are installed."""

import shutil
import time

_FLAGS = ("--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage")
_DRAWN = "() => ['map', 'best-so-far', 'losses'].every((id) => document.querySelector(`#${id} .main-svg .trace`))"


def seconds_to_draw(address: str) -> float | None:
    """Return the seconds from the request until the page's figures are drawn; None if no browser is installed."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - of the development environment
    except ImportError:
        return None
    if found is None:
        return None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, chromium_sandbox=False, args=_FLAGS)
        try:
            page = browser.new_page()
            page.goto("about:blank")
            began = time.perf_counter()
            page.goto(address)
            page.wait_for_function(_DRAWN, timeout=60_000)
            return time.perf_counter() - began
        finally:
            browser.close()
