"""A real headless browser for the pages."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The second line keeps a browser from calling home, which on a closed network it would do many times a second.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


def installed_browser() -> str | None:
    mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    found = (os.environ.get("CHROMIUM"), *map(shutil.which, BROWSERS), mac if Path(mac).exists() else None)
    return next((path for path in found if path), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = installed_browser()
    if path is None:
        assert "MUSICREC_REQUIRE_BROWSER" not in os.environ, "no Chromium found"
        pytest.skip("no Chromium or Chrome found; install one, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()
