"""The page of a hostile run, and a Chromium that is not on the network."""

from __future__ import annotations

import os
import shutil

import pytest
from browser.hostile import hostile_run

from solverbench.report.html import write_html

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def page_file(tmp_path_factory):
    """The HTML file of the hostile run."""
    folder = tmp_path_factory.mktemp("html")
    return write_html(hostile_run(folder / "run"), folder / "report.html")


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium that this machine has."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser on this machine: looked for {', '.join(BROWSERS)}")
    with api.sync_playwright() as driver:
        root = hasattr(os, "geteuid") and os.geteuid() == 0  # for whom Chromium has no sandbox
        browser = driver.chromium.launch(executable_path=program, chromium_sandbox=not root)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, page_file):
    """The page, opened from disk without a network; the test fails if the console has a complaint or a request left."""
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900}, color_scheme="light")
    page = context.new_page()
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_file.as_uri())
    yield page
    context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("data:", page_file.as_uri()))] == []
