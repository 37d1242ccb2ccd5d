"""Disliked, blocked and unavailable tracks are not recommended by any endpoint."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.urls import get_resolver
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from access.models import User
from engine.retrieval.candidates import GROUP_STRATEGIES
from interactions.models import Block
from recommendations.serving.filters import unavailable_tracks
from recommendations.training.run import run_training
from tests.people import CatalogueFactory, store_interaction
from tracks.models import Album, Artist, Tag, Track, TrackTag
from tracks.services import bump_catalogue_revision

ENDPOINTS = {
    "recommend/user/<str:user_id>/ml": "/recommend/user/{user}/ml",
    "recommend/user/<str:user_id>": "/recommend/user/{user}",
    "recommend/similar/<str:track_id>": "/recommend/similar/{track}",
    "recommend/genre/<path:name>": "/recommend/genre/genre 0",
    "recommend/batch": "/recommend/batch",
    "recommend/group": "/recommend/group",
}
SIZE = 24


def test_every_recommendation_endpoint_is_covered() -> None:
    routes = {str(pattern.pattern) for pattern in get_resolver().url_patterns if hasattr(pattern, "callback")}
    routes |= {
        str(inner.pattern) for pattern in get_resolver().url_patterns for inner in getattr(pattern, "url_patterns", [])
    }
    assert {route for route in routes if route.startswith("recommend/")} == ENDPOINTS.keys()


class NumberedCatalogue:
    """Tracks by number; each artist has 6 in a row, each album 3 and each genre 4."""

    def __init__(self, catalogue: CatalogueFactory) -> None:
        self.users, self.tracks = catalogue.checkerboard(SIZE)
        self.artists = [Artist.objects.create(name=f"Artist {n}") for n in range(SIZE // 6)]
        self.albums = [Album.objects.create(title=f"A{n}", artist=self.artists[n // 2]) for n in range(SIZE // 3)]
        self.genres = [Tag.objects.create(name=f"genre {n}", kind="genre") for n in range(SIZE // 4)]
        for n, track in enumerate(self.tracks):
            track.artist, track.album = self.artists[n // 6], self.albums[n // 3]
            TrackTag.objects.create(track=track, tag=self.genres[n // 4])
        Track.objects.bulk_update(self.tracks, ["artist", "album"])
        bump_catalogue_revision()

    def block_target(self, kind: str, number: int) -> tuple[int, set[int]]:
        """Return the primary key of the target and the ids of its tracks."""
        tracks_each, targets = {
            "artist": (6, self.artists),
            "album": (3, self.albums),
            "track": (1, self.tracks),
            "genre": (4, self.genres),
        }[kind]
        target = targets[number % len(targets)]
        place = targets.index(target)
        return target.pk, {t.pk for t in self.tracks[place * tracks_each : (place + 1) * tracks_each]}


numbers = st.integers(0, SIZE - 1)
blocks = st.tuples(st.sampled_from(Block.Kind.values), numbers)
scenarios = st.fixed_dictionaries(
    {
        "listener": st.sampled_from(["new", "two plays", "in the model"]),
        "dislikes": st.lists(numbers, max_size=3),
        "blocks": st.lists(blocks, max_size=3),
        "expired": st.lists(blocks, max_size=2),
        "taken_down": st.lists(numbers, max_size=4),
        "explicit": st.lists(numbers, max_size=6),
        "abroad": st.lists(numbers, max_size=6),
        "no_explicit": st.sampled_from(["", "listener", "request"]),
        "market": st.sampled_from(["", "listener", "request"]),
        "consent": st.booleans(),
        "seed": numbers,
        "limit": st.integers(1, SIZE),
        "exclude_played": st.booleans(),
    }
)


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("fresh", [True, False])
def test_excluded_tracks_are_not_recommended_and_an_answer_is_empty_only_if_no_track_is_left(
    catalogue: CatalogueFactory, service: APIClient, trained: bool, fresh: bool
) -> None:
    """Check every endpoint with many combinations of dislikes, blocks and restrictions.

    Args:
        trained: whether a model is in service.
        fresh: whether the process loads the unavailable tracks after the changes; otherwise it has loaded them before.
    """
    numbered = NumberedCatalogue(catalogue)
    if trained:
        assert run_training("test").status == "Published"

    @settings(max_examples=25)
    @given(scenario=scenarios)
    def check_scenario(scenario: dict[str, Any]) -> None:
        with transaction.atomic():
            unavailable_tracks.expire()
            if not fresh:
                service.get(f"/recommend/user/{numbered.users[0].pk}/ml", {"market": "DE"})
            _assert_exclusions(scenario, numbered, service)
            transaction.set_rollback(True)

    check_scenario()


def _assert_exclusions(scenario: dict[str, Any], numbered: NumberedCatalogue, service: APIClient) -> None:
    user, query = _prepare_listener(scenario, numbered)
    excluded = _exclude_tracks(scenario, numbered, user)
    seed = numbered.tracks[scenario["seed"]].pk
    for route, path in ENDPOINTS.items():
        similar = "similar" in route
        if "group" in route:
            recommended = _recommended_to_group(scenario, service, query, user, numbered.users[1])
        else:
            recommended = _recommended(service, path.format(user=user.pk, track=seed), query, user, seed)
        offered = numbered.tracks[:4] if "genre" in route else numbered.tracks
        allowed = {t.pk for t in offered} - excluded - ({seed} if similar else set())
        assert set(recommended) <= {t.pk for t in offered}, route
        assert not set(recommended) & excluded, route
        assert bool(recommended) == bool(allowed), route
        assert len(recommended) == len(set(recommended)), route


def _recommended(service: APIClient, path: str, query: dict[str, Any], user: User, seed: int) -> list[int]:
    if path != "/recommend/batch":
        if "similar" in path:
            query = {name: value for name, value in query.items() if name != "exclude_played"}
        names_listener = "similar" in path or "genre" in path
        answer = service.get(path, query | {"user_id": user.pk} if names_listener else query)
        return [r["track_id"] for r in answer.json()["results"]]
    kinds = [{"kind": "personal"}, {"kind": "similar", "track_id": seed}, {"kind": "popular"}]
    shelves = [{"name": f"s{n}", "limit": query["limit"]} | kind for n, kind in enumerate(kinds)]
    bodies = {"users": [user.pk]}, {"user_id": user.pk, "shelves": shelves}
    answers = [service.post(path, query | body, format="json").json() for body in bodies]
    [alone] = answers[0]["answers"]
    tracks = [r["track_id"] for shelf in answers[1]["shelves"] for r in shelf["results"]]
    assert {r["track_id"] for r in alone["results"]} <= set(tracks)
    return tracks


def _recommended_to_group(
    scenario: dict[str, Any], service: APIClient, query: dict[str, Any], user: User, friend: User
) -> list[int]:
    """Ask for the listener and a friend who excludes nothing, in either order and by either strategy."""
    number = scenario["seed"]
    body = {
        "listeners": [user.pk, friend.pk] if number % 2 else [friend.pk, user.pk],
        "strategy": GROUP_STRATEGIES[number // 2 % 2],
    }
    answer = service.post("/recommend/group", query | body, format="json")
    return [result["track_id"] for result in answer.json()["results"]]


def _prepare_listener(scenario: dict[str, Any], numbered: NumberedCatalogue) -> tuple[User, dict[str, Any]]:
    user = numbered.users[2] if scenario["listener"] == "in the model" else User.objects.create_user("somebody")
    if scenario["listener"] == "two plays":
        _store_interactions(user, numbered.tracks[:2], "play")
    user.consent, user.allow_explicit = scenario["consent"], scenario["no_explicit"] != "listener"
    user.market = "DE" if scenario["market"] == "listener" else ""
    user.save()
    query = {"limit": scenario["limit"], "exclude_played": str(scenario["exclude_played"]).lower()}
    query |= {"market": "DE"} if scenario["market"] == "request" else {}
    return user, query | ({"explicit": "false"} if scenario["no_explicit"] == "request" else {})


def _exclude_tracks(scenario: dict[str, Any], numbered: NumberedCatalogue, user: User) -> set[int]:
    """Apply the exclusions of the scenario and return the ids of the tracks that must not be recommended."""
    excluded = _update_tracks(numbered, scenario["taken_down"], taken_down_at=timezone.now())
    explicit = _update_tracks(numbered, scenario["explicit"], explicit=True)
    abroad = _update_tracks(numbered, scenario["abroad"], markets="AT FR")
    excluded |= (explicit if scenario["no_explicit"] else set()) | (abroad if scenario["market"] else set())
    disliked = [numbered.tracks[n] for n in scenario["dislikes"]]
    _store_interactions(user, disliked, "dislike")
    excluded |= {t.pk for t in disliked}
    for expired, blocked in [(True, scenario["expired"]), (False, scenario["blocks"])]:
        until = timezone.now() - timedelta(seconds=1) if expired else None
        for kind, number in blocked:
            target, tracks = numbered.block_target(kind, number)
            Block.objects.update_or_create(user=user, kind=kind, target_id=target, defaults={"until": until})
            excluded |= set() if expired else tracks
    return excluded


def _update_tracks(numbered: NumberedCatalogue, tracks: list[int], **fields: Any) -> set[int]:
    ids = {numbered.tracks[n].pk for n in tracks}
    Track.objects.filter(pk__in=ids).update(**fields)
    bump_catalogue_revision()
    return ids


def _store_interactions(user: User, tracks: list[Track], kind: str) -> None:
    for track in tracks:
        store_interaction(user, track, kind, at=timezone.now())
