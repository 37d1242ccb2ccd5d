"""What is disliked, blocked or unavailable is offered on no path."""

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
from interactions.models import Block
from recommendations.serving.filters import unavailable_tracks
from recommendations.training.run import run_training
from tests.people import CatalogueFactory, store_interaction
from tracks.models import Album, Artist, Tag, Track, TrackTag
from tracks.services import bump_catalogue_revision

PATHS = {
    "recommend/user/<str:user_id>/ml": "/recommend/user/{user}/ml",
    "recommend/user/<str:user_id>": "/recommend/user/{user}",
    "recommend/similar/<int:track_id>": "/recommend/similar/{track}",
    "recommend/batch": "/recommend/batch",
}
SIZE = 24


def test_no_path_that_recommends_is_left_out_here() -> None:
    routes = {str(pattern.pattern) for pattern in get_resolver().url_patterns if hasattr(pattern, "callback")}
    routes |= {
        str(inner.pattern) for pattern in get_resolver().url_patterns for inner in getattr(pattern, "url_patterns", [])
    }
    assert {route for route in routes if route.startswith("recommend/")} == PATHS.keys()


class World:
    """Tracks by number; of each artist 6, of each album 3, of each genre 4."""

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

    def of_block(self, kind: str, number: int) -> tuple[int, set[int]]:
        """A target's id, and its tracks."""
        per, targets = {
            "artist": (6, self.artists),
            "album": (3, self.albums),
            "track": (1, self.tracks),
            "genre": (4, self.genres),
        }[kind]
        target = targets[number % len(targets)]
        place = targets.index(target)
        return target.pk, {t.pk for t in self.tracks[place * per : (place + 1) * per]}


numbers = st.integers(0, SIZE - 1)
blocks = st.tuples(st.sampled_from(Block.Kind.values), numbers)
wishes = st.fixed_dictionaries(
    {
        "listener": st.sampled_from(["new", "heard two", "trained on"]),
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
def test_nothing_unwanted_is_offered_and_everything_else_can_be(
    catalogue: CatalogueFactory, service: APIClient, trained: bool, fresh: bool
) -> None:
    """fresh: what a process knows of the catalogue's availability is not from before."""
    world = World(catalogue)
    if trained:
        assert run_training("test").status == "Published"

    @settings(max_examples=25)
    @given(wish=wishes)
    def offered_as_wished(wish: dict[str, Any]) -> None:
        with transaction.atomic():
            unavailable_tracks.expire()
            if not fresh:
                service.get(f"/recommend/user/{world.users[0].pk}/ml", {"market": "DE"})
            _check(wish, world, service)
            transaction.set_rollback(True)

    offered_as_wished()


def _check(wish: dict[str, Any], world: World, service: APIClient) -> None:
    user, query = _listener(wish, world)
    never = _unwanted(wish, world, user)
    seed = world.tracks[wish["seed"]].pk
    for route, path in PATHS.items():
        similar = "similar" in route
        offered = _offered(service, path.format(user=user.pk, track=seed), query, user, seed)
        left = {t.pk for t in world.tracks} - never - ({seed} if similar else set())
        assert not set(offered) & never, route
        assert bool(offered) == bool(left), route
        assert len(offered) == len(set(offered)), route


def _offered(service: APIClient, path: str, query: dict[str, Any], user: User, seed: int) -> list[int]:
    if path != "/recommend/batch":
        answer = service.get(path, query | ({"user_id": user.pk} if "similar" in path else {}))
        return [r["track_id"] for r in answer.json()["results"]]
    kinds = [{"kind": "personal"}, {"kind": "similar", "track_id": seed}, {"kind": "popular"}]
    shelves = [{"name": f"s{n}", "limit": query["limit"]} | kind for n, kind in enumerate(kinds)]
    one = {"users": [user.pk]}, {"user_id": user.pk, "shelves": shelves}
    answers = [service.post(path, query | body, format="json").json() for body in one]
    [alone] = answers[0]["answers"]
    tracks = [r["track_id"] for shelf in answers[1]["shelves"] for r in shelf["results"]]
    assert {r["track_id"] for r in alone["results"]} <= set(tracks)
    return tracks


def _listener(wish: dict[str, Any], world: World) -> tuple[User, dict[str, Any]]:
    user = world.users[2] if wish["listener"] == "trained on" else User.objects.create_user("somebody")
    if wish["listener"] == "heard two":
        _say(user, world.tracks[:2], "play")
    user.consent, user.allow_explicit = wish["consent"], wish["no_explicit"] != "listener"
    user.market = "DE" if wish["market"] == "listener" else ""
    user.save()
    query = {"limit": wish["limit"], "exclude_played": str(wish["exclude_played"]).lower()}
    query |= {"market": "DE"} if wish["market"] == "request" else {}
    return user, query | ({"explicit": "false"} if wish["no_explicit"] == "request" else {})


def _unwanted(wish: dict[str, Any], world: World, user: User) -> set[int]:
    """Let it be so; gives the tracks that must not be offered then."""
    never = _marked(world, wish["taken_down"], taken_down_at=timezone.now())
    explicit, abroad = _marked(world, wish["explicit"], explicit=True), _marked(world, wish["abroad"], markets="AT FR")
    never |= (explicit if wish["no_explicit"] else set()) | (abroad if wish["market"] else set())
    disliked = [world.tracks[n] for n in wish["dislikes"]]
    _say(user, disliked, "dislike")
    never |= {t.pk for t in disliked}
    for expired, blocked in [(True, wish["expired"]), (False, wish["blocks"])]:
        until = timezone.now() - timedelta(seconds=1) if expired else None
        for kind, number in blocked:
            target, tracks = world.of_block(kind, number)
            Block.objects.update_or_create(user=user, kind=kind, target_id=target, defaults={"until": until})
            never |= set() if expired else tracks
    return never


def _marked(world: World, tracks: list[int], **fields: Any) -> set[int]:
    ids = {world.tracks[n].pk for n in tracks}
    Track.objects.filter(pk__in=ids).update(**fields)
    bump_catalogue_revision()
    return ids


def _say(user: User, tracks: list[Track], kind: str) -> None:
    for track in tracks:
        store_interaction(user, track, kind, at=timezone.now())
