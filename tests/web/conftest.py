"""A headless browser, and the installation whose admin it opens."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.stack import PASSWORD, Stack, new_stack

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The flags of the second line stop requests to the vendor, which are repeated many times a second without a network.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FILL_DATABASE = f"""
from access.models import User
from tests.web import test_engagement_page, test_quality_pages
User.objects.create_superuser('operator', password='{PASSWORD}')
test_engagement_page.create_engagement()
test_quality_pages.create_versions()
"""


@pytest.fixture(scope="session")
def admin_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run an installation with three weeks of engagement, a month of model versions, and an operator."""
    stack = new_stack(tmp_path_factory.mktemp("admin"))
    stack.run_python(FILL_DATABASE)
    with stack.run_servers(single_process=True):
        yield stack


def find_browser() -> str | None:
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    candidates = (os.environ.get("CHROMIUM"), *map(shutil.which, BROWSERS), mac if Path(mac).exists() else None)
    return next((path for path in candidates if path), None)


@pytest.fixture(scope="module")  # its event loop must not outlive the module, where other tests run their own
def browser() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        assert "MUSICREC_REQUIRE_BROWSER" not in os.environ, "no Chromium found"
        pytest.skip("no Chromium or Chrome found; install one, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
