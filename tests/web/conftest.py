"""A headless browser, and the installation whose admin it opens."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.stack import PASSWORD, Stack, new_stack

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The second line stops requests to the vendor, which without a network would be repeated many times a second.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FILL_DATABASE = f"""
from access.models import User
from tests.web import test_engagement_page, test_quality_pages
User.objects.create_superuser('operator', password='{PASSWORD}')
test_engagement_page.fill()
test_quality_pages.fill()
"""


@pytest.fixture(scope="session")
def admin_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An installation with three weeks of engagement and a month of model versions, and an operator."""
    installed = new_stack(tmp_path_factory.mktemp("admin"))
    installed.run_python(FILL_DATABASE)
    with installed.run_servers(single_process=True):
        yield installed


def installed_browser() -> str | None:
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    candidates = (os.environ.get("CHROMIUM"), *map(shutil.which, BROWSERS), mac if Path(mac).exists() else None)
    return next((path for path in candidates if path), None)


@pytest.fixture(scope="module")  # its event loop must not outlive the module, where other tests run their own
def browser() -> Iterator[Browser]:
    path = installed_browser()
    if path is None:
        assert "MUSICREC_REQUIRE_BROWSER" not in os.environ, "no Chromium found"
        pytest.skip("no Chromium or Chrome found; install one, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
