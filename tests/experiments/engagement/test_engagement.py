"""From a recommendation to its engagement."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from experiments.engagement.roll_up import roll_up
from experiments.exposures.log import slate_log
from experiments.models import Engagement
from tests.conftest import assert_problem
from tests.experiments.factories import NOW, TODAY, create_exposure, create_play, create_slate, engagement_counts
from tests.people import CatalogueFactory


def test_events_are_joined_to_the_slate_they_name(
    alice: User, bob: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient], service: APIClient
) -> None:
    catalogue.tracks(6, duration_ms=200_000)
    api = as_listener(alice)
    answer = api.get("/recommend/user/me/ml?limit=4&placement=home").json()
    slate_log.flush()
    first, second, third, _ = (r["track_id"] for r in answer["results"])

    def event(kind: str, track: int, **fields: Any) -> dict[str, Any]:
        happened = {"event_id": str(uuid.uuid4()), "occurred_at": timezone.now().isoformat(), "track_id": track}
        return happened | {"type": kind, "recommendation_id": answer["recommendation_id"], "position": 1} | fields

    batch = [event("impression", t) for t in (first, second, third)]
    batch += [event("click", first), event("click", first)]
    batch += [
        event("play_end", first, ms_played=200_000, end_reason="finished"),
        event("play_end", second, ms_played=5_000, end_reason="skipped"),
        event("impression", first, recommendation_id=str(uuid.uuid4())),  # names a slate that does not exist
    ]
    assert api.post("/events", batch, format="json").json()["accepted"] == 8
    events_of_bob = [event("click", second, user_id=bob.pk)]
    service.post("/events", events_of_bob, format="json")  # not the listener it was shown to
    roll_up(days=1)
    expected = {"slates": 1, "listeners": 1, "impressions": 3, "clicks": 1, "plays": 2, "completions": 1, "skips": 1}
    assert engagement_counts() == expected | {"listened_ms": 205_000}
    [row] = service.get("/engagement?by=strategy,placement").json()["results"]
    assert (row["strategy"], row["placement"]) == ("random", "home")
    assert row["ctr"] == {"value": 1 / 3, "low": None, "high": None}
    assert (row["completion_rate"]["value"], row["skip_rate"]["value"]) == (0.5, 0.5)
    assert row["listened_ms_per_slate"]["value"] == 205_000
    assert row["return_rate_1"]["value"] is None  # tomorrow is not over


def test_all_tracks_of_a_slate_count_as_seen_if_no_impressions_are_reported(
    alice: User, catalogue: CatalogueFactory
) -> None:
    tracks = [t.pk for t in catalogue.tracks(6)]
    shown = create_slate(alice, tracks[:5])
    create_exposure(alice, tracks[0], "click", shown)
    create_exposure(alice, tracks[5], "click", shown)  # was not on the slate
    roll_up(days=1)
    assert (engagement_counts()["impressions"], engagement_counts()["clicks"]) == (5, 1)


def test_plays_that_are_left_out_are_not_counted(alice: User, catalogue: CatalogueFactory) -> None:
    tracks = [t.pk for t in catalogue.tracks(2)]
    shown = create_slate(alice, tracks)
    create_play(alice, tracks[0], shown, ms_played=1_000)
    create_play(alice, tracks[1], shown, ms_played=1_000, learn=False, left_out=True)
    roll_up(days=1)
    assert (engagement_counts()["plays"], engagement_counts()["listened_ms"]) == (1, 1_000)


def test_a_click_of_any_listener_counts_for_an_anonymous_slate(
    alice: User, bob: User, catalogue: CatalogueFactory
) -> None:
    tracks = [t.pk for t in catalogue.tracks(2)]
    shown = create_slate(None, tracks)
    for user in (alice, bob):
        create_exposure(user, tracks[0], "click", shown)
    roll_up(days=1)
    assert (engagement_counts()["clicks"], engagement_counts()["listeners"]) == (1, 0)


def test_each_anonymous_slate_counts_as_a_listener_of_its_own_in_the_interval(
    db: None, catalogue: CatalogueFactory, service: APIClient
) -> None:
    tracks = [t.pk for t in catalogue.tracks(2)]
    for _ in range(10):
        create_slate(None, tracks)
    roll_up(days=1)
    assert Engagement.objects.get().moments["ctr"] == [10, 0, 20, 0, 0, 40]
    [row] = service.get("/engagement").json()["results"]
    assert 0 == row["ctr"]["low"] < row["ctr"]["high"] < 0.35


def test_a_clicked_track_counts_as_seen(alice: User, catalogue: CatalogueFactory) -> None:
    tracks = [t.pk for t in catalogue.tracks(4)]
    shown = create_slate(alice, tracks)
    create_exposure(alice, tracks[0], "impression", shown)
    for track in tracks[1:3]:
        create_exposure(alice, track, "click", shown)
    roll_up(days=1)
    assert (engagement_counts()["impressions"], engagement_counts()["clicks"]) == (3, 2)


def test_rarely_used_placements_share_a_group(
    alice: User, catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.engagement.roll_up.MAX_PLACEMENTS", 2)
    tracks = [t.pk for t in catalogue.tracks(2)]
    for placement in ("home", "home", "radio", "radio", "x1", "x2", "x3"):
        create_slate(alice, tracks, placement=placement)
    for _ in range(2):
        roll_up(days=1)
        assert dict(Engagement.objects.values_list("placement", "slates")) == {"home": 2, "radio": 2, "(other)": 3}


def test_each_day_strategy_version_and_placement_has_a_group(alice: User, catalogue: CatalogueFactory) -> None:
    tracks = [t.pk for t in catalogue.tracks(2)]
    for n, fields in enumerate([{}, {"strategy": "popular"}, {"model_version": ""}, {"placement": "radio"}]):
        create_slate(alice, tracks, **fields)
        create_slate(alice, tracks, days=n + 1)
    roll_up(days=9)
    assert Engagement.objects.filter(day=TODAY.date()).count() == 4
    assert Engagement.objects.count() == 8


def test_returning_listeners_are_counted_once_the_days_are_over(
    alice: User, bob: User, catalogue: CatalogueFactory, service: APIClient
) -> None:
    tracks = [t.pk for t in catalogue.tracks(2)]
    for user in (alice, bob):
        create_slate(user, tracks, days=8)
    create_play(alice, tracks[0], None, at=TODAY - timedelta(days=7))
    create_exposure(bob, tracks[0], "play_start", None, at=TODAY - timedelta(days=2))
    roll_up(days=9)
    row = Engagement.objects.get()
    assert (row.listeners, row.returned_1, row.returned_7) == (2, 1, 2)
    [shown] = service.get("/engagement").json()["results"]
    assert (shown["return_rate_1"]["value"], shown["return_rate_7"]["value"]) == (0.5, 1.0)
    assert 0 < shown["return_rate_1"]["low"] < 0.5 < shown["return_rate_1"]["high"] < 1


def test_return_rates_only_use_days_that_were_over_when_they_were_counted(
    alice: User, catalogue: CatalogueFactory, service: APIClient
) -> None:
    create_slate(alice, [t.pk for t in catalogue.tracks(2)], days=2)
    roll_up(days=9)
    assert service.get("/engagement").json()["results"][0]["return_rate_1"]["value"] == 0
    Engagement.objects.update(updated_at=NOW - timedelta(days=1))  # the runs since have failed
    assert service.get("/engagement").json()["results"][0]["return_rate_1"]["value"] is None


@pytest.mark.parametrize(
    ("query", "pointer", "detail"),
    [
        ({"from": "yesterday"}, "?from", "Date has wrong format"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "?from", "not after `to`"),
        ({"from": "2020-02-02", "to": "2026-02-01"}, "?from", "at most 400 days"),
        ({"by": "weather"}, "?by", "'weather' is not a dimension"),
        ({"by": "strategy,"}, "?by", "'' is not a dimension"),
    ],
)
def test_an_invalid_parameter_is_named(service: APIClient, query: dict[str, str], pointer: str, detail: str) -> None:
    [error] = assert_problem(service.get("/engagement", query), 400)["errors"]
    assert error["pointer"] == pointer
    assert detail in error["detail"]


def test_the_admin_page_shows_rates_by_the_chosen_dimension(
    alice: User, bob: User, catalogue: CatalogueFactory, admin_client: Client
) -> None:
    assert "Nothing has been counted" in admin_client.get("/admin/experiments/engagement/").content.decode()
    tracks = [t.pk for t in catalogue.tracks(4)]
    for days in (0, 1, 3):
        for user in (alice, bob):
            shown = create_slate(user, tracks, days=days, placement="" if days else "radio")
            create_play(user, tracks[days % 2], shown, is_completed=user is alice, ms_played=60_000)
    roll_up()
    page = admin_client.get("/admin/experiments/engagement/?by=placement&days=28").content.decode()
    assert page.count("data-chart=") >= 4
    assert "not specified" in page
    assert "radio" in page
    for query in ("", "?by=model_version", "?by=nonsense&days=x"):
        assert admin_client.get(f"/admin/experiments/engagement/{query}").status_code == 200
    stranger = Client()
    alice.is_staff = True
    alice.save()
    stranger.force_login(alice)
    assert stranger.get("/admin/experiments/engagement/").status_code == 403
