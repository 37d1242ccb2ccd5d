"""The admin's schedule and lists in a headless browser."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.stack import PASSWORD, Stack

pytestmark = pytest.mark.one_stack
FORMS = [
    "django_celery_beat/periodictask/add/",
    "django_celery_beat/crontabschedule/add/",
    "django_celery_beat/intervalschedule/add/",
    "django_celery_beat/clockedschedule/add/",
    "django_celery_beat/solarschedule/add/",
    "webhooks/webhookendpoint/add/",
]
# Without the theme's widgets, fields have neither a border nor padding.
UNSTYLED_FIELDS = """() => [...document.querySelectorAll("#content-main :is(input, select, textarea)")]
    .filter((field) => field.checkVisibility() && !["hidden", "checkbox"].includes(field.type))
    .filter((field) => ["borderTopWidth", "paddingLeft"].some((name) => getComputedStyle(field)[name] === "0px"))
    .map((field) => field.id)"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def sign_in(browser: Browser, stack: Stack, theme: str, width: int) -> Page:
    page = browser.new_page(
        base_url=stack.base,
        viewport={"width": width, "height": 900},
        color_scheme=theme,  # type: ignore[arg-type]
    )
    page.goto("/admin/")
    page.fill("[name=username]", "operator")
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    page.wait_for_selector("#nav-sidebar-apps", state="attached")
    return page


@pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 390)])
def test_forms_have_the_theme_and_fit_the_window(browser: Browser, admin_stack: Stack, theme: str, width: int) -> None:
    page = sign_in(browser, admin_stack, theme, width)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for form in FORMS:
        page.goto(f"/admin/{form}")
        expect(page.get_by_role("button", name="Save", exact=True)).to_be_visible()
        assert (form, page.evaluate(UNSTYLED_FIELDS), page.evaluate(OVERFLOW)) == (form, [], 0)
    page.close()
    assert errors == []


def test_long_texts_in_lists_are_not_cut_off(browser: Browser, admin_stack: Stack) -> None:
    alarm = f"kind='held_back', subject='v1', message={'worse than before ' * 20!r}"
    admin_stack.run_python(f"from recommendations.models import Alarm; Alarm.objects.create({alarm})")
    page = sign_in(browser, admin_stack, "light", 390)
    page.goto("/admin/recommendations/alarm/")
    cell = page.locator("td.field-message").first
    assert cell.evaluate("cell => cell.scrollHeight - cell.clientHeight") <= 0
    assert page.evaluate(OVERFLOW) == 0
    page.close()


def test_the_time_of_the_training_can_be_changed(browser: Browser, admin_stack: Stack) -> None:
    page = sign_in(browser, admin_stack, "light", 1400)
    page.goto("/admin/django_celery_beat/periodictask/")
    row = page.locator("#result_list tr").filter(has_text="recommendations.train_model")
    expect(row).to_contain_text("At 03:00 AM UTC")
    row.get_by_role("link", name="Nightly training").click()
    expect(page.get_by_label("Task (custom)")).to_have_value("recommendations.train_model")
    expect(
        page.get_by_label("Task (registered)").get_by_role("option", name="recommendations.tune_model")
    ).to_be_attached()
    page.locator("#id_crontab").select_option(label="30 4 * * 0 (m/h/dM/MY/d) UTC")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    expect(row).to_contain_text("At 04:30 AM, only on Sunday UTC")
    page.close()
