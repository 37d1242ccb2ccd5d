"""The engagement page of the admin in a headless browser."""

import random
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from access.models import User
from experiments.engagement.roll_up import roll_up
from experiments.models import Slate
from interactions.models import Exposure, Interaction
from tests.people import CatalogueFactory
from tests.stack import PASSWORD, Stack

pytestmark = pytest.mark.one_stack


def create_engagement(days: int = 21, listeners: int = 40) -> None:
    """Create slates and interactions of three strategies: `personal` improves daily, `early` is missing at first."""
    chance, now = random.Random(3), timezone.now()
    tracks = [t.pk for t in CatalogueFactory().tracks(20)]
    users = User.objects.bulk_create(User(username=f"u{n}") for n in range(listeners))
    for days_ago in range(1, days):
        at = now - timedelta(days=days_ago)
        for user in users:
            if chance.random() < 0.6:
                strategy = chance.choice(["personal", "popular", "early"][: 3 if days_ago < 12 else 2])
                _create_slate(
                    chance, user, strategy, tracks, at, 0.5 - days_ago / 60 if strategy == "personal" else 0.15
                )
    roll_up(days)


def _create_slate(
    chance: random.Random, user: User, strategy: str, tracks: list[int], at: object, click_rate: float
) -> None:
    shown = chance.sample(tracks, 10)
    placement = chance.choice(["home", "radio", ""])
    slate = Slate.objects.create(
        id=uuid.uuid4(), user=user, strategy=strategy, placement=placement, track_ids=shown, shown_at=at
    )
    columns = {"user": user, "recommendation_id": slate.pk}
    for track in shown:
        if chance.random() < click_rate:
            Exposure.objects.create(**columns, track_id=track, kind="click", occurred_at=at)
            completed = chance.random() < 0.3 + click_rate
            Interaction.objects.create(
                **columns,
                track_id=track,
                played_at=at,
                source="api",
                is_completed=completed,
                is_skip=not completed,
                ms_played=90_000,
            )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_rates_are_charted_by_strategy_and_by_placement(
    browser: Browser, admin_stack: Stack, theme: str, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 1500}, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    _sign_in(page, admin_stack)
    page.goto(f"{admin_stack.base}/admin/experiments/engagement/")
    expect(page.locator(".quality-chart canvas")).to_have_count(6)
    page.wait_for_function("() => Chart.getChart(document.querySelector('.quality-chart canvas'))")
    lines = page.evaluate("Chart.getChart(document.querySelector('.quality-chart canvas')).data.datasets")
    assert {line["label"] for line in lines if "label" in line} == {"personal", "popular", "early"}
    assert all(any(value is not None for value in line["data"]) for line in lines)
    rows = page.locator("tbody tr th")
    assert set(rows.all_inner_texts()) == {"personal", "popular", "early"}
    page.screenshot(path=str(tmp_path / f"engagement-{theme}.png"), full_page=True)
    page.get_by_role("link", name="by placement").click()
    expect(rows.filter(has_text="not specified")).to_be_visible()
    assert "days=28" in page.url
    page.get_by_role("link", name="13 weeks").click()
    expect(page.get_by_role("link", name="13 weeks")).to_have_attribute("aria-current", "true")
    assert errors == []
    context.close()


def _sign_in(page: Page, admin_stack: Stack) -> None:
    page.goto(f"{admin_stack.base}/admin/")
    page.fill("[name=username]", "operator")
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    expect(page.locator("#nav-sidebar-apps")).to_be_visible()
