"""Text from catalogues and listeners is shown as text: by the listener page, the admin and every export."""

import csv
import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.stack import PASSWORD, Stack, new_stack

pytestmark = [pytest.mark.slow, pytest.mark.one_stack]
SCRIPT = "<script>window.hacked = 1</script>"
TITLES = [
    SCRIPT,
    '<img src=x onerror="window.hacked = 1">',
    '"><svg onload=window.hacked=1>',
    "</title></textarea><script>window.hacked = 1</script>",
    "{{ 7 * 7 }}{% debug %}",
    "${7*7}",
    "javascript:window.hacked=1",
    '=HYPERLINK("http://evil.example","x")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\u202etxt.exe",
    "a\u2066b\u202ec",
    "&lt;b&gt; &amp; &quot;",
]
CREATE_ACCOUNTS = f"""
from access.models import User
User.objects.create_superuser('operator', password='{PASSWORD}')
user = User.objects.create_user('<script>window.hacked=1</script>', password='{PASSWORD}', external_id='=1+1')
User.objects.filter(username='operator').update(external_id='<svg onload=window.hacked=1>')
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run an installation with hostile titles, artists, albums, addresses and accounts."""
    installed = new_stack(tmp_path_factory.mktemp("hostile"))
    plays = installed.var / "plays.csv"
    with plays.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "track_id", "title", "artist_name", "album", "played_at"])
        for number, title in enumerate(TITLES):
            writer.writerow([f"u{number % 3}", title, title, TITLES[number - 1], title, 1_700_000_000 + number])
    installed.manage("import_plays", str(plays), "--format", "csv")
    installed.run_python(CREATE_ACCOUNTS)
    with installed.run_servers(single_process=True):
        yield installed


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    page = browser.new_page(base_url=stack.base)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    yield page
    assert page.evaluate("window.hacked") is None
    assert dialogs == []
    page.close()


def test_the_listener_page_shows_markup_as_text(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Username").fill(SCRIPT.replace(" ", ""))
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    titles = page.locator(".card-title")
    expect(titles).to_have_count(len(TITLES))
    assert sorted(titles.all_text_contents()) == sorted(TITLES)
    # Marks that change the direction of text do not reach beyond their title.
    assert set(titles.locator("a").evaluate_all("links => links.map(a => getComputedStyle(a).unicodeBidi)")) == {
        "isolate"
    }
    assert page.evaluate("window.hacked") is None
    page.get_by_role("link", name=SCRIPT, exact=True).click()
    expect(page.get_by_role("heading", name=SCRIPT, level=1)).to_be_visible()
    assert page.locator("a[href^='javascript:'], img[src^='javascript:']").count() == 0


def test_the_admin_shows_markup_as_text(page: Page) -> None:
    page.goto("/admin/login/?next=/admin/tracks/track/")
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("td.field-title, th.field-title").first).to_be_visible()
    shown = page.locator("td.field-title, th.field-title").all_inner_texts()
    assert sorted(text.strip() for text in shown) == sorted(TITLES)
    for path in ("tracks/artist/", "tracks/album/", "access/user/", "interactions/interaction/", "access/signin/"):
        page.goto(f"/admin/{path}")
        assert page.evaluate("window.hacked") is None, path
    page.goto("/admin/tracks/track/?q=" + "%3Cscript%3Ewindow.hacked=1%3C/script%3E")
    assert page.evaluate("window.hacked") is None
    page.goto("/admin/tracks/track/")
    page.get_by_role("link", name=SCRIPT, exact=True).first.click()
    expect(page.locator("input[name=title]")).to_have_value(SCRIPT)
    page.get_by_role("button", name="Save", exact=True).click()  # the confirmation quotes the title
    expect(page.get_by_text("was changed successfully")).to_contain_text(SCRIPT)
    page.goto("/admin/admin/logentry/")
    assert page.evaluate("window.hacked") is None


def test_the_json_of_the_api_contains_the_text_as_it_is_and_cannot_be_shown_as_a_page(stack: Stack) -> None:
    auth = f"Api-Key {stack.create_service_key('recommend', 'listeners')}"
    answer = stack.request("/recommend/user/1/ml?limit=50&exclude_played=false", auth=auth)
    assert sorted(result["title"] for result in answer.body["results"]) == sorted(TITLES)
    export = stack.request("/users/1/export", auth=auth)
    for response in (answer, export):
        headers = {name.lower(): value for name, value in response.headers.items()}
        assert headers["content-type"] == "application/json"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
    assert json.dumps(SCRIPT)[1:-1] in json.dumps(export.body)
