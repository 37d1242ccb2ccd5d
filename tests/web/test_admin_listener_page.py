"""The admin's page of a listener in a headless browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.stack import Stack
from tests.web.test_admin_pages import OVERFLOW, sign_in
from tests.web.test_quality_pages import OVERFLOWING_PANELS

pytestmark = pytest.mark.one_stack


@pytest.fixture(scope="module")
def operator_session(browser: Browser, admin_stack: Stack) -> StorageState:
    page = sign_in(browser, admin_stack, "light", 1400)
    session = page.context.storage_state()
    page.close()
    return session


@pytest.fixture(params=[("light", 1400), ("dark", 400)], ids=["desktop", "phone"])
def page(
    request: pytest.FixtureRequest, browser: Browser, admin_stack: Stack, operator_session: StorageState
) -> Iterator[Page]:
    """Return a page with the operator signed in; the test fails on script errors."""
    theme, width = request.param
    page = browser.new_page(
        base_url=admin_stack.base,
        viewport={"width": width, "height": 900},
        color_scheme=theme,
        storage_state=operator_session,
    )
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    page.close()
    assert errors == []


def open_listener(page: Page) -> None:
    """Find the listener u7 by search, and open the page."""
    page.goto("/admin/recommendations/listener/")
    search = page.locator("#searchbar")
    search.fill("u7")
    search.press("Enter")
    page.locator("#result_list").get_by_role("link", name="u7", exact=True).click()
    expect(page.get_by_role("heading", name="u7", exact=True)).to_be_visible()


def test_a_listener_is_found_and_their_plays_are_shown(page: Page, tmp_path: Path) -> None:
    open_listener(page)
    expect(page.get_by_role("row", name="Consent")).to_contain_text("yes")
    expect(page.get_by_role("row", name="The Testers").first).to_contain_text("100%")
    latest = page.locator("section").filter(has=page.get_by_role("heading", name="Latest plays"))
    expect(latest.get_by_role("row")).to_have_count(12)
    page.screenshot(path=tmp_path / "plays.png", full_page=True)
    assert (page.evaluate(OVERFLOW), page.evaluate(OVERFLOWING_PANELS)) == (0, [])


def test_a_slate_is_traced_and_dials_are_turned(page: Page, tmp_path: Path) -> None:
    open_listener(page)
    page.get_by_role("link", name="Why these tracks").click()
    slate = page.locator("#slate")
    expect(slate.locator("tbody tr")).to_have_count(20)
    page.screenshot(path=tmp_path / "slate.png", full_page=True)
    assert (page.evaluate(OVERFLOW), page.evaluate(OVERFLOWING_PANELS)) == (0, [])

    page.get_by_label("Tracks").fill("7")
    page.get_by_label("Policy").fill("popular")
    page.get_by_role("button", name="Show").click()
    expect(slate.locator("tbody tr")).to_have_count(7)
    expect(slate.get_by_role("heading")).to_contain_text("policy popular")
    expect(page.get_by_label("Tracks")).to_have_value("7")

    page.get_by_role("link", name="What dials change").click()
    novelty = page.locator("section").filter(has=page.get_by_role("heading", name="Novelty"))
    expect(novelty.locator("tbody tr").first).to_contain_text("0, as it is")
    page.screenshot(path=tmp_path / "dials.png", full_page=True)
    assert (page.evaluate(OVERFLOW), page.evaluate(OVERFLOWING_PANELS)) == (0, [])
    novelty.get_by_role("link", name="1", exact=True).click()
    expect(page.get_by_label("Novelty")).to_have_value("1")
    expect(slate.locator("tbody tr")).to_have_count(7)
    page.get_by_role("link", name="As served").click()
    expect(slate.locator("tbody tr")).to_have_count(20)
