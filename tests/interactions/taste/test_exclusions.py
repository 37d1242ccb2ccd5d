"""What recommenders must not learn from: events with `learn: false`, and exclusions with their undo."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from interactions.charts.selectors import load_chart
from interactions.events.services import record_events
from interactions.models import Exclusion, Interaction, PopularTrack
from interactions.selectors import count_interactions, load_history
from interactions.services import refresh_popular_tracks
from interactions.taste import services
from interactions.taste.selectors import load_play_totals
from interactions.training_data import iter_play_chunks
from tests.conftest import assert_problem
from tests.people import NOON, CatalogueFactory, store_interaction
from tracks.models import Track

EXCLUSIONS = "/users/me/taste/exclusions"


@pytest.fixture
def api(alice: User, as_listener: Callable[[User], APIClient]) -> APIClient:
    return as_listener(alice)


def exclude(api: APIClient, **target: Any) -> int:
    response = api.post(EXCLUSIONS, {"exclusions": [target]}, format="json")
    assert response.status_code == 201, response.content
    [exclusion] = response.json()["exclusions"]
    return int(exclusion["exclusion_id"])


def send(user: User, track: Track, type: str = "play_end", **fields: Any) -> None:
    event = {"event_id": str(uuid.uuid4()), "type": type, "track_id": track.pk, "occurred_at": NOON.isoformat()}
    assert record_events([event | fields], user.pk).accepted == 1


def left_out(user: User) -> list[str]:
    """Return the devices of the interactions that are left out: the tests name their events by them."""
    return sorted(Interaction.objects.filter(user=user, left_out=True).values_list("device", flat=True))


def test_an_event_that_must_not_teach_is_listed_and_nothing_else(
    alice: User, api: APIClient, catalogue: CatalogueFactory
) -> None:
    private, other = catalogue.tracks(2)
    now = timezone.now().isoformat()
    send(alice, private, ms_played=200_000, end_reason="finished", occurred_at=now, learn=False, shuffle=True)
    send(alice, private, "like", learn=False)
    store_interaction(alice, private, "play", milestone=90, learn=False, at=timezone.now())
    send(alice, other, learn=None, shuffle=None)
    refresh_popular_tracks()
    history, totals = load_history(alice.pk), load_play_totals(alice.pk)
    [chunk] = iter_play_chunks()
    assert history.pairs.track.tolist() == chunk.track.tolist() == [other.pk]
    assert (history.interactions, count_interactions(), totals.plays, totals.tracks) == (1, 1, 1, 1)
    assert list(PopularTrack.objects.values_list("track_id", flat=True)) == [other.pk]
    assert load_chart(7, None, "", True) == []
    listed = [row["track_id"] for row in api.get("/users/me/history").json()["results"]]
    assert sorted(listed) == [private.pk, private.pk, other.pk]
    assert api.get("/users/me/preferences").json()["likes"] == [private.pk]


def test_a_dislike_forbids_wherever_it_was_made(alice: User, api: APIClient, catalogue: CatalogueFactory) -> None:
    [track] = catalogue.tracks(1)
    exclude(api, kind="track", track_id=track.pk)
    send(alice, track, "dislike", learn=False)
    assert load_history(alice.pk).pairs.disliked.tolist() == [True]
    api.put(f"/users/me/likes/{track.pk}")
    history = load_history(alice.pk)
    assert (history.pairs.disliked.tolist(), history.pairs.liked.tolist()) == ([False], [False])
    assert api.get("/users/me/preferences").json()["likes"] == [track.pk]


def test_exclusions_cover_the_past_and_the_future_and_their_undo_restores_the_rest(
    alice: User, bob: User, api: APIClient, catalogue: CatalogueFactory
) -> None:
    lullaby, song = catalogue.tracks(2)

    def play(user: User, suffix: str) -> None:
        send(user, lullaby, device=f"lullaby {suffix}", occurred_at=(NOON - timedelta(days=3)).isoformat())
        send(user, song, device=f"sleep {suffix}", context="sleep", occurred_at=(NOON - timedelta(days=2)).isoformat())
        send(user, song, device=f"guest {suffix}", session_id="s1", occurred_at=(NOON - timedelta(days=1)).isoformat())
        send(user, song, device=f"holiday {suffix}", learn=False)
        send(user, song, device=f"end {suffix}", occurred_at=(NOON + timedelta(hours=1)).isoformat())

    play(alice, "1")
    play(bob, "1")
    revision = User.objects.get(pk=alice.pk).revision
    ids = {
        "lullaby": exclude(api, kind="track", track_id=lullaby.pk),
        "sleep": exclude(api, kind="playlist", context="sleep"),
        "guest": exclude(api, kind="session", session_id="s1"),
        "holiday": exclude(api, kind="period", since=NOON.isoformat(), until=(NOON + timedelta(hours=1)).isoformat()),
    }
    assert User.objects.get(pk=alice.pk).revision != revision
    play(alice, "2")
    assert left_out(alice) == sorted(f"{name} {n}" for name in ids for n in (1, 2))
    assert left_out(bob) == ["holiday 1"]
    everything = exclude(api, kind="period", since="2020-01-01T00:00:00Z")
    play(alice, "3")
    assert len(left_out(alice)) == 15
    assert api.delete(f"{EXCLUSIONS}/{everything}").status_code == 204
    assert left_out(alice) == sorted(f"{name} {n}" for name in ids for n in (1, 2, 3))
    for name in ("lullaby", "sleep", "guest"):
        assert api.delete(f"{EXCLUSIONS}/{ids.pop(name)}").status_code == 204
        assert left_out(alice) == sorted(f"{name} {n}" for name in ids for n in (1, 2, 3))
    api.delete(f"{EXCLUSIONS}/{ids['holiday']}")
    assert left_out(alice) == ["holiday 1", "holiday 2", "holiday 3"]  # as the client said


def test_exclusions_are_listed_once_and_may_be_repeated(
    alice: User, bob: User, api: APIClient, catalogue: CatalogueFactory
) -> None:
    [track] = catalogue.tracks(1)
    targets = [
        {"kind": "track", "track_id": f"external:{track.external_id}"},
        {"kind": "period", "since": "2026-01-01T00:00:00Z"},
        {"kind": "session", "session_id": "s1"},
    ]
    for _ in range(2):
        response = api.post(EXCLUSIONS, {"exclusions": targets}, format="json")
        assert response.status_code == 201
    stored = api.get(EXCLUSIONS).json()["exclusions"]
    assert stored == response.json()["exclusions"][::-1]
    nothing = {"track_id": None, "context": None, "session_id": None, "since": None, "until": None}
    shown = [{name: row[name] for name in ("kind", *nothing)} for row in stored]
    assert shown == [
        nothing | {"kind": "session", "session_id": "s1"},
        nothing | {"kind": "period", "since": "2026-01-01T00:00:00Z"},
        nothing | {"kind": "track", "track_id": track.pk},
    ]
    other = Exclusion.objects.create(user=bob, kind="session", name="s1")
    for exclusion_id in (other.pk, 999_999, stored[0]["exclusion_id"], stored[0]["exclusion_id"]):
        assert api.delete(f"{EXCLUSIONS}/{exclusion_id}").status_code == 204
    assert Exclusion.objects.filter(user=bob).count() == 1
    assert api.get(EXCLUSIONS).json()["exclusions"] == stored[1:]


def test_an_exclusion_that_names_nothing_is_refused(
    alice: User, api: APIClient, catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = "2026-01-01T00:00:00Z"
    valid = {"kind": "session", "session_id": "s1"}
    cases = [
        ({"kind": "mood"}, "must be one of track, playlist, session, period"),
        ({"kind": "track"}, "is required for an exclusion of the kind track"),
        ({"kind": "track", "track_id": 999}, "there is no track 999 in the catalogue"),
        (valid | {"context": "sleep"}, "does not belong to the kind session, which has session_id"),
        ({"kind": "period", "since": since, "until": since}, "must be later than since"),
        ({"kind": "playlist", "context": ""}, "must not be empty or consist of spaces"),
        ({"kind": "session", "session": "s1"}, "unknown field; this body accepts"),
    ]
    for target, message in cases:
        problem = assert_problem(api.post(EXCLUSIONS, {"exclusions": [valid, target]}, format="json"), 400)
        assert message in problem["detail"], problem
    assert_problem(api.post(EXCLUSIONS, {"exclusions": []}, format="json"), 400)
    monkeypatch.setattr(services, "MAX_EXCLUSIONS", 1)
    both = {"exclusions": [valid, {"kind": "session", "session_id": "s2"}]}
    assert_problem(api.post(EXCLUSIONS, both, format="json"), 409)
    assert not Exclusion.objects.exists()
    exclude(api, kind="session", session_id="s1")
    monkeypatch.setattr(services, "MAX_EXCLUSIONS", 0)  # as with the exclusions of two merged listeners
    assert api.post(EXCLUSIONS, {"exclusions": [valid]}, format="json").status_code == 201


def test_a_playlist_is_excluded_under_exactly_its_name(
    alice: User, api: APIClient, catalogue: CatalogueFactory
) -> None:
    [track] = catalogue.tracks(1)
    send(alice, track, device="padded", context=" sleep ")
    send(alice, track, device="plain", context="sleep")
    exclude(api, kind="playlist", context=" sleep ")
    assert left_out(alice) == ["padded"]
