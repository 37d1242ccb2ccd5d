"""The listener page in a headless browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.play_files import write_checkerboard_csv
from tests.stack import PASSWORD, Stack, new_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    installed = new_stack(tmp_path_factory.mktemp("page"), MUSICREC_FACTORS="2")
    installed.manage("import_plays", str(write_checkerboard_csv(installed.var)), "--format", "csv")
    installed.manage("train_model")
    installed.prepare_listener("u2", "ann")
    installed.prepare_listener("u3", "carl")
    installed.run_python(
        f"from access.models import User; User.objects.create_user('newcomer', password='{PASSWORD}'); "
        f"User.objects.create_superuser('operator', password='{PASSWORD}')"
    )
    with installed.run_servers():
        yield installed


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """Return a page of a phone's size; the test fails on script errors and violations of the security policy."""
    phone = browser.new_page(base_url=stack.base, viewport={"width": 390, "height": 844})
    errors: list[str] = []
    phone.on("pageerror", lambda error: errors.append(str(error)))
    phone.on("console", lambda m: errors.append(m.text) if "Content Security Policy" in m.text else None)
    yield phone
    phone.close()
    assert errors == []


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.goto("/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_after_sign_in_the_page_shows_explained_picks(page: Page) -> None:
    sign_in(page, "ann")
    expect(page.get_by_role("heading", name="AI Picks for You", level=1)).to_be_visible()
    expect(page.locator(".basis")).to_have_text("From what you have been playing")
    picks = page.get_by_role("list", name="AI Picks for You").get_by_role("listitem")
    expect(picks.first.get_by_role("heading")).to_have_text("Song 2")
    expect(picks.first.get_by_text("Because you played")).to_be_visible()


def test_a_wrong_password_shows_an_error(page: Page) -> None:
    sign_in(page, "ann", "wrong")
    expect(page.get_by_role("alert")).to_contain_text("No active account found")
    expect(page.get_by_label("Username")).to_have_value("ann")


def test_a_play_changes_the_picks(page: Page) -> None:
    sign_in(page, "carl")
    first = page.get_by_role("list", name="AI Picks for You").get_by_role("heading").first
    expect(first).to_have_text("Song 3")
    page.get_by_role("button", name="Played it: Song 3", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("you played “Song 3”")
    expect(first).not_to_have_text("Song 3")
    expect(page.get_by_role("link", name="Song 3", exact=True)).to_have_count(0)


def test_a_track_has_a_page_with_similar_tracks(page: Page) -> None:
    sign_in(page, "ann")
    page.get_by_role("link", name="Song 2", exact=True).click()
    expect(page.get_by_role("heading", name="Song 2", level=1)).to_be_visible()
    expect(page.get_by_role("heading", name="Similar Tracks")).to_be_visible()
    similar = page.get_by_role("list", name="Similar Tracks").get_by_role("listitem")
    expect(similar).to_have_count(10)
    expect(similar.first).to_contain_text("Band 0")
    page.get_by_role("link", name="Back to picks").click()
    expect(page.get_by_role("heading", name="AI Picks for You", level=1)).to_be_visible()


def test_a_new_listener_sees_that_the_picks_are_popular_tracks(page: Page) -> None:
    sign_in(page, "newcomer")
    expect(page.get_by_text("Popular right now")).to_be_visible()


def test_the_page_is_marked_busy_while_loading(page: Page) -> None:
    page.route("**/recommend/**", lambda route: None)  # the request stays unanswered
    sign_in(page, "ann")
    expect(page.locator("main [aria-busy=true]").first).to_be_visible()


def test_without_results_the_page_says_so(page: Page) -> None:
    empty = {"recommendation_id": "x", "strategy": "none", "model_version": None, "fallback_reason": None}
    empty |= {"generated_at": "2026-01-01T00:00:00Z", "degraded": False, "results": []}
    page.route("**/recommend/**", lambda route: route.fulfill(json=empty))
    sign_in(page, "ann")
    expect(page.get_by_text("Nothing here yet")).to_be_visible()


def test_a_failure_shows_the_detail_and_can_be_retried(page: Page) -> None:
    problem = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "the database is away"}
    page.route(
        "**/recommend/**",
        lambda route: route.fulfill(
            status=503, content_type="application/problem+json", json={**problem, "errors": [], "request_id": "req-7"}
        ),
    )
    sign_in(page, "ann")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("the database is away")
    expect(alert).to_contain_text("req-7")
    page.unroute("**/recommend/**")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("list", name="AI Picks for You")).to_be_visible()


def test_an_expired_session_leads_back_to_the_sign_in_form(page: Page) -> None:
    sign_in(page, "ann")
    expect(page.get_by_role("list", name="AI Picks for You")).to_be_visible()
    page.evaluate(
        "for (const [k, v] of Object.entries(sessionStorage))"
        " sessionStorage.setItem(k, v.replace(/[\\w-]+\\.[\\w-]+\\.[\\w-]+/, 'a.b.c'))"
    )
    page.reload()
    expect(page.get_by_text("Your session has ended. Sign in again.")).to_be_visible()


def test_an_unknown_track_shows_an_error(page: Page) -> None:
    sign_in(page, "ann")
    expect(page.get_by_role("list", name="AI Picks for You")).to_be_visible()
    page.goto("/#/track/999999")
    expect(page.get_by_role("alert")).to_contain_text("no such track")


def test_the_operator_can_train_and_roll_back_in_the_admin(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("/admin/")
    page.locator("#id_username").fill("operator")
    page.locator("#id_password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").or_(page.get_by_role("button", name="Sign in")).click()
    page.goto("/admin/recommendations/modelartifact/")
    expect(page.get_by_role("button", name="Roll back")).to_be_visible()
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text("there is no version before the one in service")).to_be_visible()
    for name in ("tracks/track", "interactions/interaction", "recommendations/userfeatures", "access/servicekey"):
        page.goto(f"/admin/{name}/")
        expect(page.locator("#changelist")).to_be_visible()
    page.goto("/admin/recommendations/trainingrun/")
    page.get_by_role("button", name="Train now").click()
    expect(page.get_by_text("Training has been started")).to_be_visible()
