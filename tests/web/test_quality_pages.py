"""The admin's pages about model quality in a headless browser."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, StorageState, expect

from recommendations.models import ModelArtifact
from tests.recommendations.admin.test_quality_pages import (
    FIRST_NIGHT,
    LIST,
    NO_REPORT,
    create_version,
    put_into_service,
    report_of_questions,
    write_files,
)
from tests.stack import PASSWORD, Stack
from tracks.models import Artist, Tag, Track, TrackTag

pytestmark = pytest.mark.one_stack
GENRES = [
    "rock",
    "electronic",
    "hip hop",
    "jazz",
    "classical",
    "metal",
    "folk",
    "ambient",
    "pop",
    "soul",
    "punk",
    "dub",
]
# Scripts that ask Chart.js: whether all charts are drawn, where a version's point is, its tooltip, the active points.
CHARTS_DRAWN = (
    """() => [...document.querySelectorAll(".quality-chart canvas")].every((canvas) => Chart.getChart(canvas))"""
)
POINT = """index => {
    const { x, y } = Chart.getChart(document.querySelector(".chart-quality canvas")).getDatasetMeta(0).data[index];
    return { x, y };
}"""
TOOLTIP = """() => {
    const { title, footer } = Chart.getChart(document.querySelector(".chart-quality canvas")).tooltip;
    return [...title, ...footer];
}"""
ACTIVE_POINTS = """() => [...document.querySelectorAll(".quality-chart canvas")]
    .map((canvas) => Chart.getChart(canvas).getActiveElements()[0]?.index)"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
OVERFLOWING_PANELS = """() => [...document.querySelectorAll(".quality-panel")]
    .filter((panel) => panel.scrollWidth > panel.clientWidth)
    .map((panel) => panel.querySelector("h2").textContent)"""
WORDS = ["Harbour", "Silver", "Night", "Paper", "Salt", "Glass", "Morning", "Electric", "Hollow", "Winter", "Golden"]


def create_versions(nights: int = 24, tracks: int = 600) -> None:
    """Create a month of versions: the last was held back, the one before serves, and these two have files."""
    track_ids, chance = create_tracks(tracks), random.Random(5)
    serving, quality = "", 0.2
    for night in range(nights):
        held_back = night in (6, 15, nights - 1)
        before, quality = quality, quality + chance.uniform(-0.003, 0.006) + (0.03 if night == 14 else 0)
        ndcg = quality - 0.045 if held_back else quality
        night_report = report_of_questions(ndcg, before, serving) if night else NO_REPORT
        reason = f"NDCG@10 {ndcg:.4f} is worse than {before:.4f} in service by more than the margin of 10%"
        gate = {"gate": "held_back", "gate_reason": reason} if held_back else {"published_at": FIRST_NIGHT}
        artifact = create_version(night, night_report, **gate)
        component = {"popularity_exponent": -0.006992368211366451 * night, "unobserved_ratio": 209.71523 + night}
        artifact.manifest["config"]["parts"].append(component)
        ModelArtifact.objects.filter(pk=artifact.pk).update(manifest=artifact.manifest)
        serving = serving if held_back else artifact.version
    in_service = ModelArtifact.objects.get(version=serving)
    for with_files in (in_service, artifact):
        write_files(with_files, track_ids, factors=24, tastes=len(GENRES))
    put_into_service(in_service)


def create_tracks(tracks: int) -> list[int]:
    """Create tracks whose genres take turns, as the tastes of `write_files` do; one in ten has no genre.

    Returns:
        the ids of the tracks.
    """
    chance = random.Random(1)
    artists = Artist.objects.bulk_create(Artist(name=f"The {a} {b}s") for a in WORDS for b in WORDS)
    titles = [f"{chance.choice(WORDS)} {chance.choice(WORDS)}" for _ in range(tracks)]
    created = Track.objects.bulk_create(Track(title=title, artist=chance.choice(artists)) for title in titles)
    tags = Tag.objects.bulk_create(Tag(name=name, kind="genre") for name in GENRES)
    TrackTag.objects.bulk_create(
        TrackTag(track=track, tag=tags[n % len(tags)]) for n, track in enumerate(created) if chance.random() < 0.9
    )
    return [track.pk for track in created]


@pytest.fixture(scope="module")
def operator_session(browser: Browser, admin_stack: Stack) -> StorageState:
    """Return the cookies of the operator, who signs in once: the number of attempts in a minute is limited."""
    page = browser.new_page(base_url=admin_stack.base)
    page.goto("/admin/")
    page.locator("#id_username").fill("operator")
    page.locator("#id_password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#nav-sidebar-apps")).to_be_visible()
    session = page.context.storage_state()
    page.close()
    return session


@pytest.fixture(params=["light", "dark"])
def page(
    request: pytest.FixtureRequest, browser: Browser, admin_stack: Stack, operator_session: StorageState
) -> Iterator[Page]:
    """Return a page with the operator signed in; the test fails on script errors and on requests to other hosts."""
    desktop = browser.new_page(
        base_url=admin_stack.base,
        viewport={"width": 1400, "height": 900},
        color_scheme=request.param,
        storage_state=operator_session,
    )
    errors: list[str] = []
    desktop.on("pageerror", lambda error: errors.append(str(error)))
    desktop.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    desktop.on(
        "request",
        lambda request: None if request.url.startswith((admin_stack.base, "data:")) else errors.append(request.url),
    )
    yield desktop
    desktop.close()
    assert errors == []


def test_the_charts_lead_to_a_version_and_to_its_map(page: Page, tmp_path: Path) -> None:
    page.goto(LIST)
    page.get_by_role("link", name="Quality over time").click()
    chart = page.locator(".chart-quality canvas")
    page.wait_for_function(CHARTS_DRAWN)
    point = page.evaluate(POINT, 14)
    chart.hover(position=point)
    title, *lines = page.evaluate(TOOLTIP)
    assert lines[0] == "Published before · trained 2026-03-15 03:00"
    assert page.evaluate(ACTIVE_POINTS) == [14] * 5
    page.screenshot(path=tmp_path / "history.png")
    name = title
    chart.click(position=point)
    expect(page.get_by_role("link", name=str(name))).to_be_visible()
    expect(page.get_by_role("heading", name="All metrics: All listeners, new tracks")).to_be_visible()
    page.screenshot(path=tmp_path / "version.png", full_page=True)
    page.get_by_role("link", name="Tail of the catalogue").click()
    expect(page.get_by_role("heading", name="All metrics: Tail of the catalogue, new tracks")).to_be_visible()
    page.get_by_role("link", name="Repeats").click()
    expect(page.get_by_role("heading", name="All metrics: All listeners, repeats")).to_be_visible()
    page.screenshot(path=tmp_path / "repeats.png", full_page=True)
    page.get_by_role("link", name="Map of tracks").click()
    expect(page.get_by_text("The files of this version cannot be read")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 1400, 1920])
def test_two_versions_with_different_settings_fit_the_window(page: Page, tmp_path: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(LIST)
    page.locator("#result_list tbody th a").first.click()
    page.get_by_label("Compare with").select_option(index=20)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("row", name="parts.1.popularity_exponent")).to_contain_text("-0.1608")
    page.screenshot(path=tmp_path / "settings.png", full_page=True)
    assert (page.evaluate(OVERFLOW), page.evaluate(OVERFLOWING_PANELS)) == (0, [])


def test_the_map_of_tracks_can_be_searched_zoomed_and_filtered(page: Page, tmp_path: Path) -> None:
    page.goto(LIST)
    page.locator("#result_list tbody th a").nth(1).click()
    page.get_by_role("link", name="Map of tracks").click()
    expect(page.locator("#map-method")).to_contain_text("The 600 most popular tracks", timeout=60_000)
    expect(page.locator(".map-tags li")).to_have_count(11)
    page.screenshot(path=tmp_path / "map.png")
    page.get_by_label("Find").fill("harbour")
    expect(page.locator("#map-found")).to_contain_text("found")
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_label("Find").fill("")
    page.get_by_role("button", name="Show all").click()
    tag = page.locator(".map-tags button").first
    tag.click()
    expect(tag).to_have_attribute("aria-pressed", "true")
    expect(hover_over_a_track(page)).to_contain_text(f"{tag.locator('span').inner_text()} · ")
    page.screenshot(path=tmp_path / "one tag.png")


def hover_over_a_track(page: Page) -> Locator:
    """Move the pointer over the map line by line until the tooltip of a track shows, and return it."""
    box, tip = page.locator("#map canvas").bounding_box(), page.locator("#map .tip")
    assert box is not None
    for y in range(12, int(box["height"]), 40):
        for x in range(12, int(box["width"]), 40):
            page.mouse.move(box["x"] + x, box["y"] + y)
            if tip.is_visible():
                return tip
    return tip


def test_overriding_the_gate_can_be_cancelled(page: Page, tmp_path: Path) -> None:
    page.goto(LIST)
    page.locator("#result_list tbody th a").first.click()
    page.get_by_role("button", name="Put into service").click()
    expect(page.get_by_role("heading", name="overriding the gate?")).to_be_visible()
    page.screenshot(path=tmp_path / "override.png")
    expect(page.get_by_text("All listeners get the recommendations of")).to_be_visible()
    page.get_by_role("link", name="Leave it held back").click()
    expect(page.get_by_text("This overrides the gate")).to_be_visible()
