"""Pages are full as long as the catalogue has tracks, however many were deleted or taken down a moment ago."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache as shared_cache
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from interactions.services import refresh_popular_tracks
from recommendations.serving import model_cache as model_cache_module
from recommendations.serving.filters import unavailable_tracks
from recommendations.serving.model_cache import model_cache
from recommendations.serving.precompute import precompute_rankings
from recommendations.serving.response_cache import response_cache
from recommendations.training.run import run_training
from tests.people import CatalogueFactory
from tracks.card_cache import track_card_cache
from tracks.models import Track
from tracks.services import bump_catalogue_revision, delete_from_catalogue, set_taken_down

SIZE, REMAINING, LIMIT = 300, 20, 5
Removal = Callable[[list[int]], object]
TRACKS = "/admin/tracks/track/"


def delete_by_sql(track_ids: list[int]) -> None:
    """Delete tracks without a new revision; the cards that a process has of them are a minute old."""
    Track.objects.filter(pk__in=track_ids).delete()
    track_card_cache.clear()


def restrict_by_sql(track_ids: list[int]) -> None:
    Track.objects.filter(pk__in=track_ids).update(markets="AT")
    track_card_cache.clear()


def mark_as_explicit(track_ids: list[int]) -> None:
    Track.objects.filter(pk__in=track_ids).update(explicit=True)
    User.objects.update(allow_explicit=False)
    bump_catalogue_revision()


REMOVALS: dict[str, Removal] = {
    "deleted": lambda ids: delete_from_catalogue(Track.objects.filter(pk__in=ids)),
    "deleted by SQL": delete_by_sql,
    "taken down": lambda ids: set_taken_down(ids, timezone.now()),
    "restricted to another market by SQL": restrict_by_sql,
    "explicit": mark_as_explicit,
    "half deleted, half taken down": lambda ids: (
        set_taken_down(ids[::2], timezone.now()),
        delete_from_catalogue(Track.objects.filter(pk__in=ids[1::2])),
    ),
}


@pytest.fixture
def listeners(catalogue: CatalogueFactory) -> list[User]:
    """Return listeners of a large catalogue: a known one, one without interactions, and one without consent."""
    tracks = catalogue.tracks(SIZE)
    fans = User.objects.bulk_create(User(username=f"fan {n}") for n in range(6))
    for number, fan in enumerate(fans):
        catalogue.play(fan, *tracks[number % 2 :: 2])
    known, new = User.objects.create_user("known"), User.objects.create_user("new")
    private = User.objects.create_user("private", consent=False)
    catalogue.play(known, *tracks[SIZE - 12 :])
    refresh_popular_tracks()
    return [known, new, private]


def pages(service: APIClient, listeners: list[User]) -> dict[str, list[int]]:
    """Return the ids of the tracks on a page of each kind, with the market DE."""
    seed = Track.objects.latest("pk").pk
    options, users = f"limit={LIMIT}&market=DE", [listener.pk for listener in listeners]
    batch = service.post("/recommend/batch", {"users": users, "limit": LIMIT, "market": "DE"}, format="json").json()
    bodies = {f"similar to {seed}": service.get(f"/recommend/similar/{seed}?{options}&user_id={users[0]}").json()}
    for listener, answer in zip(listeners, batch["answers"], strict=True):
        bodies[f"batch {listener}"] = answer
        bodies[f"personal {listener}"] = service.get(f"/recommend/user/{listener.pk}/ml?{options}").json()
        bodies[f"legacy {listener}"] = service.get(f"/recommend/user/{listener.pk}?{options}").json()
    return {name: [r["track_id"] for r in body["results"]] for name, body in bodies.items()}


def assert_full(found: dict[str, list[int]], removed: set[int], limit: int = LIMIT) -> None:
    for name, track_ids in found.items():
        assert (len(track_ids), len(set(track_ids)), set(track_ids) & removed) == (limit, limit, set()), name


@pytest.mark.parametrize("removal", REMOVALS)
@pytest.mark.parametrize("trained", [True, False])
def test_pages_stay_full_when_most_tracks_are_removed(
    removal: str, trained: bool, listeners: list[User], service: APIClient
) -> None:
    if trained:
        assert run_training("test").status == "Published"
    assert_full(pages(service, listeners), set())
    removed = list(Track.objects.order_by("pk").values_list("pk", flat=True)[: SIZE - REMAINING])
    REMOVALS[removal](removed)
    if "SQL" in removal:
        response_cache.clear()  # an hour later
        shared_cache.clear()
    assert_full(pages(service, listeners), set(removed))


def test_the_remaining_tracks_of_the_version_are_personal_again_at_once(
    listeners: list[User], service: APIClient
) -> None:
    assert run_training("test").status == "Published"
    pages(service, listeners)
    known = listeners[0]
    last = list(Track.objects.order_by("pk").values_list("pk", flat=True)[SIZE - REMAINING :])
    delete_from_catalogue(Track.objects.exclude(pk__in=last))
    results = service.get(f"/recommend/user/{known.pk}/ml?limit={LIMIT}").json()["results"]
    assert [r["source"] for r in results] == ["personal"] * LIMIT


def test_a_mass_deletion_is_looked_up_once(
    listeners: list[User], service: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_training("test").status == "Published"
    pages(service, listeners)
    delete_from_catalogue(Track.objects.filter(pk__in=Track.objects.order_by("pk")[: SIZE - REMAINING].values("pk")))
    reads = []
    reload = unavailable_tracks.reload
    monkeypatch.setattr(unavailable_tracks, "reload", lambda *args: (reads.append(args), reload(*args))[1])
    pages(service, listeners)
    assert reads
    reads.clear()
    response_cache.clear()
    pages(service, listeners)
    assert reads == []


def test_tracks_beyond_those_that_a_process_lists_fill_the_page(
    listeners: list[User], service: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_cache_module, "CATALOGUE_TRACKS", 50)
    model_cache.reset()
    listed = list(Track.objects.order_by("pk").values_list("pk", flat=True)[:250])
    set_taken_down(listed, timezone.now())
    # The known listener and the fans have played the others, which are therefore popular: they must not be found there.
    monkeypatch.setattr(model_cache_module, "load_popular_tracks", dict)
    assert_full(pages(service, listeners), set(listed))


def test_a_popular_track_beyond_those_that_a_process_lists_is_on_the_page_once(
    listeners: list[User], service: APIClient, catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_training("test").status == "Published"
    removed = list(Track.objects.values_list("pk", flat=True))
    set_taken_down(removed, timezone.now())
    new = [track.pk for track in catalogue.tracks(LIMIT + 1)]
    monkeypatch.setattr(model_cache_module, "CATALOGUE_TRACKS", 50)
    monkeypatch.setattr(model_cache_module, "load_popular_tracks", lambda: dict.fromkeys(new[:2], 1.0))
    model_cache.reset()
    assert_full(pages(service, listeners), set(removed))


def test_a_precomputed_ranking_of_removed_tracks_is_replaced(
    listeners: list[User], service: APIClient, settings: Any
) -> None:
    settings.MUSICREC = settings.MUSICREC | {"AHEAD_LISTENERS": 100}
    assert run_training("test").status == "Published"
    precompute_rankings([listener.pk for listener in listeners])
    removed = list(Track.objects.order_by("pk").values_list("pk", flat=True)[: SIZE - REMAINING])
    restrict_by_sql(removed)
    assert_full(pages(service, listeners), set(removed))


def test_a_page_has_all_tracks_of_a_catalogue_that_became_too_small(
    listeners: list[User], service: APIClient, admin_client: Client
) -> None:
    assert run_training("test").status == "Published"
    pages(service, listeners)
    last = list(Track.objects.order_by("-pk").values_list("pk", flat=True)[:3])
    delete_from_catalogue(Track.objects.exclude(pk__in=last))
    found = pages(service, listeners)
    similar = found.pop(next(name for name in found if name.startswith("similar")))
    assert sorted(similar) == sorted(last)[:2]  # all but the track itself
    for name, track_ids in found.items():  # the known listener has played all of them, and gets them again
        assert sorted(track_ids) == sorted(last), name
    admin_client.post(TRACKS, {"action": "delete_selected", "_selected_action": last[:2], "post": "yes"})
    assert {tuple(ids) for name, ids in pages(service, listeners).items() if "similar" not in name} == {(last[2],)}
    Track.objects.all().delete()
    bump_catalogue_revision()
    response = service.get(f"/recommend/user/{listeners[0].pk}/ml?limit={LIMIT}")
    assert (response.status_code, response.json()["results"], response.json()["strategy"]) == (200, [], "none")


def test_new_tracks_fill_a_page_that_the_version_cannot_fill(
    listeners: list[User], service: APIClient, catalogue: CatalogueFactory
) -> None:
    assert run_training("test").status == "Published"
    pages(service, listeners)
    delete_from_catalogue(Track.objects.all())
    new = {track.pk for track in catalogue.tracks(LIMIT + 1)}
    bump_catalogue_revision()
    found = pages(service, listeners)
    assert_full(found, set())
    assert {track_id for track_ids in found.values() for track_id in track_ids} <= new
