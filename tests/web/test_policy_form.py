"""The form of a policy in a headless browser: sliders, a preview that follows each change, and a way back."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.stack import Stack
from tests.web.test_admin_pages import OVERFLOW, sign_in

pytestmark = pytest.mark.one_stack
LIST = "/admin/recommendations/policyversion/"
CREATE_LISTENER = """
from access.models import User
from tests.people import CatalogueFactory
from tracks.models import Track
ada = User.objects.create_user('ada', display_name='Ada <b>Lovelace</b>', external_id='app:ada')
CatalogueFactory.play(ada, *Track.objects.order_by('pk')[:30:4])
"""


@pytest.fixture(scope="module")
def listener(admin_stack: Stack) -> str:
    admin_stack.run_python(CREATE_LISTENER)
    return "app:ada"


@pytest.fixture
def page(browser: Browser, admin_stack: Stack, listener: str) -> Iterator[Page]:
    """Return a page with the operator signed in; the test fails on script errors and on refused content."""
    page, errors = sign_in(browser, admin_stack, "light", 1600), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    page.close()
    assert errors == []


def test_a_dial_is_tried_out_saved_used_and_left_again(page: Page, listener: str, tmp_path: Path) -> None:
    page.goto(LIST)
    page.screenshot(path=tmp_path / "list.png")
    page.get_by_role("row", name="personal personal slates").get_by_role("link", name="Edit and try out").click()
    page.get_by_label("Preview for the listener").fill(listener)
    slates = page.locator(".policy-slates > div")
    expect(slates).to_have_count(2)
    expect(page.locator(".policy-subject")).to_have_text("Ada <b>Lovelace</b> app:ada")
    expect(page.get_by_text("No value differs from the version in use.")).to_be_visible()

    page.get_by_label("Diversity, slider").fill("0.65")
    expect(page.get_by_label("Diversity", exact=True)).to_have_value("0.65")
    expect(page.get_by_text(re.compile(r"dials\.diversity: \S+ → 0\.65"))).to_be_visible()
    page.get_by_label("popular", exact=True).fill("3")
    expect(page.get_by_text(re.compile(r"sources\.popular: \S+ → 3"))).to_be_visible()
    page.screenshot(path=tmp_path / "edit.png", full_page=True)

    page.get_by_label("Diversity", exact=True).fill("7")
    expect(page.get_by_text("Diversity must be a number from 0 to 1")).to_be_visible()
    page.get_by_label("Diversity", exact=True).fill("0.65")
    page.get_by_label("Note").fill("more variety")
    page.get_by_role("button", name="Save as new version").click()
    expect(page.get_by_text("personal@1 is saved. It is not in use yet.")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(r"dials\.diversity \S+ 0\.65"))).to_be_visible()
    page.screenshot(path=tmp_path / "version.png", full_page=True)

    page.get_by_role("button", name="Use this version").click()
    page.screenshot(path=tmp_path / "confirm.png", full_page=True)
    page.get_by_role("button", name="Use personal@1").click()
    expect(page.get_by_text("personal@1 is in use.")).to_be_visible()
    page.get_by_role("link", name="personal (built in)").click()
    page.get_by_role("button", name="Return to what is built in").click()
    page.get_by_role("button", name="Use personal as built in").click()
    expect(page.get_by_text("personal as built in is in use.")).to_be_visible()


def test_one_of_several_listeners_is_chosen(page: Page, admin_stack: Stack) -> None:
    admin_stack.run_python("from access.models import User; User.objects.create_user('ada-2')")
    page.goto(f"{LIST}policy/popular/")
    search = page.get_by_label("Preview for the listener")
    search.fill("ada")
    page.get_by_role("button", name="ada-2").click()
    expect(page.locator(".policy-subject")).to_have_text("ada-2")
    search.fill("nobody at all")
    search.press("Enter")
    expect(page.get_by_text("There is no such listener.")).to_be_visible()
    expect(page).to_have_url(f"{admin_stack.base}{LIST}policy/popular/")  # Enter has not sent the form


@pytest.mark.parametrize("width", [390, 1280, 1600])
def test_the_pages_fit_the_window(page: Page, tmp_path: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for path in (LIST, f"{LIST}policy/similar/", f"{LIST}policy/personal/0/"):
        page.goto(path)
        assert (path, page.evaluate(OVERFLOW)) == (path, 0)
    page.goto(f"{LIST}policy/similar/")
    expect(page.locator(".policy-slates > div")).to_have_count(2)
    page.screenshot(path=tmp_path / f"{width}.png", full_page=True)
    assert page.evaluate(OVERFLOW) == 0
