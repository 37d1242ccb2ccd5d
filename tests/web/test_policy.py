"""The content security policies in a real headless browser: what pages need works, and nothing is refused."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.stack import PASSWORD, new_stack

pytestmark = pytest.mark.one_stack
ADMIN = ["access/user/", "access/user/1/change/", "access/servicekey/", "access/signin/", "access/erasure/"]
ADMIN += ["admin/logentry/", "recommendations/alarm/"]


def test_the_docs_and_the_admin_work_under_their_policies(browser: Browser, tmp_path: Path) -> None:
    stack = new_stack(tmp_path)
    stack.run_python(
        f"from access.models import User; User.objects.create_superuser('operator', password='{PASSWORD}')"
    )
    with stack.run_servers(single_process=True):
        page, faults = browser.new_page(base_url=stack.base), []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.goto("/schema/docs")
        expect(page.locator(".opblock").first).to_be_visible(timeout=15_000)
        page.goto("/admin/")
        page.get_by_label("Username").fill("operator")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.locator("#nav-sidebar-apps")).to_be_visible()
        for path in ADMIN:
            answer = page.goto(f"/admin/{path}")
            assert answer is not None
            assert answer.status == 200, path
        page.close()
    assert faults == []
