"""The listener page in a headless browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.play_files import write_checkerboard_csv
from tests.stack import PASSWORD, Stack, new_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    installed = new_stack(tmp_path_factory.mktemp("page"), MUSICREC_FACTORS="2", MUSICREC_RATE_SIGN_IN="")
    installed.manage("import_plays", str(write_checkerboard_csv(installed.var)), "--format", "csv")
    installed.manage("train_model")
    installed.prepare_listener("u2", "ann")
    installed.prepare_listener("u3", "carl")
    installed.prepare_listener("u4", "dora")
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
    expect(picks.first.get_by_text("Because you often play Band 0")).to_be_visible()
    expect(picks.nth(1).get_by_text("Because you played Song")).to_be_visible()


def test_a_wrong_password_shows_an_error(page: Page) -> None:
    sign_in(page, "ann", "wrong")
    expect(page.get_by_role("alert")).to_have_text("The username or the password is wrong.")
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


SERVER_WORDS = "psycopg.OperationalError: server closed the connection"
RECOMMENDATIONS = "**/recommend/**"


def fail_requests(page: Page, status: int, path: str = RECOMMENDATIONS, retry_after: str = "") -> None:
    """Answer requests with a problem document; without a status, fail as without a network."""
    problem = {"type": "about:blank", "title": "Internal", "status": status, "detail": SERVER_WORDS}
    problem |= {"errors": [{"pointer": "#/x", "detail": SERVER_WORDS}], "request_id": "req-7"}
    headers = {"X-Request-ID": "req-7"} | ({"Retry-After": retry_after} if retry_after else {})

    def fail(route: Route) -> None:
        if status:
            content_type = "application/problem+json"
            route.fulfill(status=status, content_type=content_type, json=problem, headers=headers)
        else:
            route.abort("internetdisconnected")

    page.route(path, fail)


def picks_of(page: Page) -> list[str]:
    return page.get_by_role("list", name="AI Picks for You").get_by_role("heading").all_inner_texts()


def assert_no_server_words(page: Page) -> None:
    text = page.locator("body").inner_text()
    assert "psycopg" not in text
    assert "#/x" not in text


FAILURES = [
    (0, "No connection", True),
    (429, "Too much at once", True),
    (500, "Something went wrong", True),
    (503, "Temporarily unavailable", True),
    (400, "Something went wrong", False),
    (403, "Not available", False),
    (404, "Not found", False),
]


@pytest.mark.parametrize(("status", "title", "can_retry"), FAILURES)
def test_a_failure_is_explained_to_a_listener_and_can_be_retried_where_that_helps(
    page: Page, status: int, title: str, can_retry: bool
) -> None:
    fail_requests(page, status)
    sign_in(page, "ann")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(title)
    if status:
        expect(alert).to_contain_text("req-7")
    assert_no_server_words(page)
    retry = page.get_by_role("button", name="Try again")
    expect(retry).to_have_count(int(can_retry))
    if can_retry:
        page.unroute(RECOMMENDATIONS)
        retry.click()
        expect(page.get_by_role("list", name="AI Picks for You")).to_be_visible()
        expect(alert).to_have_count(0)


@pytest.mark.parametrize(("status", "can_retry"), [(status, can_retry) for status, _, can_retry in FAILURES])
def test_a_list_stays_when_its_refresh_fails(page: Page, status: int, can_retry: bool) -> None:
    sign_in(page, "ann")
    expect(page.get_by_role("list", name="AI Picks for You")).to_be_visible()
    picks, basis = picks_of(page), page.locator(".basis").inner_text()
    fail_requests(page, status, retry_after="7")
    for _ in range(2):  # the message of the second failure replaces the first
        page.get_by_role("button", name="Refresh").click()
        expect(page.locator("main [aria-busy=true]")).to_have_count(0)
        expect(page.get_by_role("alert")).to_contain_text("This could not be refreshed")
    if status == 429:
        expect(page.get_by_role("alert")).to_contain_text("Try again in 7 seconds.")
    assert (picks_of(page), page.locator(".basis").inner_text()) == (picks, basis)
    assert_no_server_words(page)
    retry = page.get_by_role("button", name="Try again")
    expect(retry).to_have_count(int(can_retry))
    page.get_by_role("link", name=picks[0], exact=True).click()
    page.get_by_role("link", name="Back to picks").click()
    expect(page.get_by_role("list", name="AI Picks for You")).to_be_visible()
    assert picks_of(page) == picks


def test_a_list_stays_without_a_network(page: Page) -> None:
    sign_in(page, "ann")
    expect(page.get_by_role("list", name="AI Picks for You")).to_be_visible()
    picks = picks_of(page)
    page.context.set_offline(True)
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("alert")).to_contain_text("You seem to be offline.")
    assert picks_of(page) == picks
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert picks_of(page) == picks


def test_a_failed_refresh_can_be_retried(page: Page) -> None:
    sign_in(page, "ann")
    picks = page.get_by_role("list", name="AI Picks for You")
    expect(picks).to_be_visible()
    fail_requests(page, 503)
    page.get_by_role("button", name="Refresh").click()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("button", name="Try again")).to_be_focused()
    page.unroute(RECOMMENDATIONS)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(picks).to_be_visible()


def test_after_a_play_the_old_list_stays_until_a_new_one_has_arrived(page: Page) -> None:
    sign_in(page, "dora")
    expect(page.get_by_role("list", name="AI Picks for You")).to_be_visible()
    first = picks_of(page)[0]
    page.get_by_role("link", name=first, exact=True).click()
    fail_requests(page, 500)
    page.get_by_role("button", name=f"Played it: {first}", exact=True).first.click()
    expect(page.get_by_role("status")).to_contain_text("Saved")
    page.get_by_role("link", name="Back to picks").click()
    expect(page.get_by_role("alert")).to_contain_text("This could not be refreshed")
    assert picks_of(page)[0] == first
    page.unroute(RECOMMENDATIONS)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("link", name=first, exact=True)).to_have_count(0)


def test_a_play_that_cannot_be_saved_is_explained(page: Page) -> None:
    sign_in(page, "ann")
    played = page.get_by_role("button", name="Played it").first
    receipt = {"accepted": 0, "duplicates": 0, "rejected": [{"index": 0, "detail": SERVER_WORDS}]}
    page.route("**/events", lambda route: route.fulfill(json=receipt))
    played.click()
    expect(page.get_by_role("status")).to_have_text("Not saved. This play cannot be counted.")
    page.unroute("**/events")
    fail_requests(page, 503, "**/events")
    played.click()
    expect(page.get_by_role("status")).to_contain_text("musicrec is not available right now")
    assert_no_server_words(page)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "Enter your username and your password."),
        (429, "You are a little too fast. Try again in 2 minutes."),
        (500, "That was our fault. Try again in a moment."),
        (0, "musicrec cannot be reached right now. Check your connection and try again."),
    ],
)
def test_a_failed_sign_in_is_explained(page: Page, status: int, text: str) -> None:
    fail_requests(page, status, "**/token", retry_after="93")
    sign_in(page, "ann")
    expect(page.get_by_role("alert")).to_have_text(text)


@pytest.mark.parametrize("status", [400, 401, 503])
def test_only_a_refused_refresh_token_ends_the_session(page: Page, status: int) -> None:
    sign_in(page, "ann")
    expect(page.get_by_role("list", name="AI Picks for You")).to_be_visible()
    fail_requests(page, 401)
    fail_requests(page, status, "**/token/refresh")
    page.get_by_role("button", name="Refresh").click()
    if status == 503:
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
    else:
        expect(page.get_by_text("Your session has ended. Sign in again.")).to_be_visible()


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
    expect(page.get_by_role("alert")).to_contain_text("This is not in the catalogue, or not any more.")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)


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
