"""The content security policies allow everything that the pages need, checked in a headless browser."""

import pytest
from playwright.sync_api import Browser, expect

from tests.stack import PASSWORD, Stack

pytestmark = pytest.mark.one_stack
ADMIN_PATHS = ["access/user/", "access/user/1/change/", "access/servicekey/", "access/signin/", "access/erasure/"]
ADMIN_PATHS += ["admin/logentry/", "recommendations/alarm/"]


def test_the_api_docs_and_the_admin_work_under_their_content_security_policies(
    browser: Browser, admin_stack: Stack
) -> None:
    page, errors = browser.new_page(base_url=admin_stack.base), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto("/schema/docs")
    expect(page.locator(".opblock").first).to_be_visible(timeout=15_000)
    page.goto("/admin/")
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#nav-sidebar-apps")).to_be_visible()
    for path in ADMIN_PATHS:
        response = page.goto(f"/admin/{path}")
        assert response is not None
        assert response.status == 200, path
    page.close()
    assert errors == []
