"""What a listener blocks, dislikes, excludes or may not be offered is shown by no path of the API.

Add each endpoint that shows tracks, artists or genres to `PATHS`; a test fails for one that is neither there nor among
those that show none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from access.models import User
from access.sign_ins import sign_in
from interactions.models import BlockKind, ExclusionKind
from interactions.preferences.services import add_block
from interactions.taste.services import ExclusionTarget, add_exclusions
from recommendations.serving.filters import unavailable_tracks
from recommendations.training.run import run_training
from recommendations.urls import urlpatterns
from tests.people import CatalogueFactory, store_interaction
from tests.recommendations.serving.test_filters import SIZE, NumberedCatalogue
from tracks.models import Track
from tracks.services import bump_catalogue_revision

SHOW_NOTHING_NEW = {"radios", "radio", "training-runs", "training-run"}


@dataclass
class Shown:
    """The ids of what an answer shows."""

    tracks: set[int] = field(default_factory=set)
    artists: set[int] = field(default_factory=set)
    genres: set[int] = field(default_factory=set)

    def __or__(self, other: "Shown") -> "Shown":
        return Shown(self.tracks | other.tracks, self.artists | other.artists, self.genres | other.genres)


@dataclass
class Asker:
    """A listener with a token, and a back end with a key that asks for them."""

    listener: User
    world: NumberedCatalogue
    seed: Track
    service: APIClient
    own: APIClient

    def get(self, path: str, *, by_key: bool = False, **parameters: Any) -> Any:
        answer = (self.service if by_key else self.own).get(path, parameters)
        assert answer.status_code == 200, (path, answer.content)
        return answer.json()

    def post(self, path: str, body: dict[str, Any], *, by_key: bool = False) -> Any:
        answer = (self.service if by_key else self.own).post(path, body, format="json")
        assert answer.status_code in (200, 201), (path, answer.content)
        return answer.json()


def tracks_of(*answers: Any) -> Shown:
    return Shown({result["track_id"] for answer in answers for result in answer["results"]})


def ask_personal(asker: Asker) -> Shown:
    options: list[dict[str, Any]] = [{}, {"exclude_played": "false"}, {"familiarity": 1}, {"explain": "true"}]
    return tracks_of(*(asker.get("/recommend/user/me/ml", limit=SIZE, **each) for each in options))


def ask_popular(asker: Asker) -> Shown:
    return tracks_of(asker.get("/recommend/user/me", limit=SIZE))


def ask_similar(asker: Asker) -> Shown:
    path = f"/recommend/similar/{asker.seed.pk}"
    of_kinds = [asker.get(path, limit=SIZE, kind=kind) for kind in ("cf", "content", "hybrid")]
    return tracks_of(*of_kinds, asker.get(path, by_key=True, limit=SIZE, user_id=asker.listener.pk))


def ask_genres(asker: Asker) -> Shown:
    paths = [f"/recommend/genre/{genre.name}" for genre in asker.world.genres]
    by_key = asker.get(paths[0], by_key=True, user_id=asker.listener.pk)
    return tracks_of(by_key, *(asker.get(path, exclude_played="false") for path in paths))


def ask_pages(asker: Asker) -> Shown:
    pages = [asker.get("/recommend/user/me/ml", limit=4)]
    while pages[-1]["next"]:
        pages.append(asker.get(pages[-1]["next"]))
    return tracks_of(*pages)


def ask_batch(asker: Asker) -> Shown:
    kinds = [{"kind": "personal"}, {"kind": "similar", "track_id": asker.seed.pk}, {"kind": "popular"}]
    shelves = [{"name": f"shelf-{n}", "limit": SIZE} | kind for n, kind in enumerate(kinds)]
    of_users = asker.post("/recommend/batch", {"users": [asker.listener.pk], "limit": SIZE}, by_key=True)["answers"]
    return tracks_of(*of_users, *asker.post("/recommend/batch", {"shelves": shelves})["shelves"])


def ask_group(asker: Asker) -> Shown:
    body = {"listeners": [asker.world.users[1].pk, asker.listener.pk], "limit": SIZE, "exclude_played": False}
    strategies = ("average", "least_misery")
    return tracks_of(*(asker.post("/recommend/group", body | {"strategy": s}, by_key=True) for s in strategies))


def ask_radio(asker: Asker) -> Shown:
    radio = asker.post("/radio", {"seeds": [{"kind": "track", "id": asker.seed.pk}]})
    return tracks_of(*_next_tracks(asker, radio["next"]))


def _next_tracks(asker: Asker, path: str | None) -> Iterator[Any]:
    while path:
        answer = asker.get(path)
        yield answer
        path = answer["next"]


def ask_path(asker: Asker) -> Shown:
    ends = asker.world.tracks[0], asker.world.tracks[-1]
    answer = asker.get("/path", **{"from": ends[0].pk, "to": ends[1].pk, "length": SIZE})
    between = answer["results"][1:-1]  # the ends are those that were asked for
    return tracks_of({"results": between})


def ask_artists(asker: Asker) -> Shown:
    return _groups(asker, "/users/me/artists", "artist_id", exclude_known="false")


def ask_genre_list(asker: Asker) -> Shown:
    found = _groups(asker, "/users/me/genres", "tag_id")
    return Shown(found.tracks, genres=found.artists)


def ask_similar_artists(asker: Asker) -> Shown:
    return _groups(asker, f"/artists/{asker.seed.artist_id}/similar", "artist_id")


def _groups(asker: Asker, path: str, name: str, **parameters: Any) -> Shown:
    results = asker.get(path, limit=SIZE, **parameters)["results"]
    assert all(result["tracks"] for result in results)
    return tracks_of(*({"results": result["tracks"]} for result in results)) | Shown(
        artists={result[name] for result in results}
    )


def ask_mixes(asker: Asker) -> Shown:
    return _screen(asker, "/users/me/mixes", limit=SIZE)


def ask_home(asker: Asker) -> Shown:
    return _screen(asker, "/users/me/home", limit=SIZE, shelves=20)


def _screen(asker: Asker, path: str, **parameters: Any) -> Shown:
    """Return what a screen shows when it is made, and again from what is stored."""
    shelves = [shelf for _ in range(2) for shelf in asker.get(path, **parameters)["shelves"]]
    artists = {shelf["artist_id"] for shelf in shelves if shelf["artist_id"] is not None}
    return tracks_of(*shelves) | Shown(artists=artists, genres={shelf["tag_id"] for shelf in shelves} - {None})


def ask_player(asker: Asker) -> Shown:
    by_item = {str(track.external_id): track for track in asker.world.tracks}
    item, last = str(asker.seed.external_id), str(asker.world.tracks[-1].external_id)
    songs = asker.get("/api/similar_tracks", item_id=item, n=SIZE)
    return Shown({by_item[song["item_id"]].pk for song in songs if song["item_id"] != last})


def ask_player_for_artists(asker: Asker) -> Shown:
    by_item = {str(track.external_id): track for track in asker.world.tracks}
    answer = asker.own.get(f"/api/similar_artists?artist={asker.seed.artist.name}&include_component_matches=true")
    if answer.status_code == 404:  # there is no other artist to show
        return Shown()
    artists = {artist.name: artist.pk for artist in asker.world.artists}
    songs = [
        song["item_id"]
        for artist in answer.json()
        for match in artist["component_matches"]
        for number in (1, 2)
        for song in match[f"artist{number}_representative_songs"]
    ]
    return Shown({by_item[item].pk for item in songs}, {artists[artist["artist"]] for artist in answer.json()})


def ask_player_for_a_path(asker: Asker) -> Shown:
    by_item = {str(track.external_id): track for track in asker.world.tracks}
    first, last = (str(asker.world.tracks[n].external_id) for n in (0, -1))
    answer = asker.get("/api/find_path", start_song_id=first, end_song_id=last, max_steps=SIZE)
    return Shown({by_item[song["item_id"]].pk for song in answer["path"][1:-1]})


# By the name of the URL.
PATHS: dict[str, Callable[[Asker], Shown]] = {
    "recommend": ask_personal,
    "recommend-legacy": ask_popular,
    "similar": ask_similar,
    "recommend-genre": ask_genres,
    "next-page": ask_pages,
    "recommend-batch": ask_batch,
    "recommend-group": ask_group,
    "radio-next": ask_radio,
    "track-path": ask_path,
    "recommended-artists": ask_artists,
    "recommended-genres": ask_genre_list,
    "artists-like": ask_similar_artists,
    "mixes": ask_mixes,
    "home": ask_home,
    "similar-tracks": ask_player,
    "similar-artists": ask_player_for_artists,
    "find-path": ask_player_for_a_path,
}
ALWAYS_SHOW = ("recommend", "recommend-legacy", "next-page", "recommend-batch", "recommend-group", "radio-next")
numbers = st.integers(0, SIZE - 1)
scenarios = st.fixed_dictionaries(
    {
        "listener": st.sampled_from(["new", "in the model"]),
        "consent": st.booleans(),
        "seed": numbers,
        "disliked": st.lists(numbers, max_size=3),
        "excluded": st.lists(numbers, max_size=3, unique=True),
        "blocks": st.lists(st.tuples(st.sampled_from(BlockKind.values), numbers), max_size=3),
        "taken_down": st.lists(numbers, max_size=3),
        "explicit": st.lists(numbers, max_size=3),
        "abroad": st.lists(numbers, max_size=3),
    }
)


def test_every_path_that_shows_something_is_covered() -> None:
    assert {pattern.name for pattern in urlpatterns} - SHOW_NOTHING_NEW == PATHS.keys()


@pytest.mark.parametrize("trained", [True, False])
def test_no_path_shows_what_a_listener_must_not_be_shown(
    trained: bool, catalogue: CatalogueFactory, service: APIClient
) -> None:
    world = NumberedCatalogue(catalogue)
    if trained:
        assert run_training("test").status == "Published"

    @settings(max_examples=12)
    @given(scenario=scenarios)
    def check_scenario(scenario: dict[str, Any]) -> None:
        with transaction.atomic():
            unavailable_tracks.expire()
            asker, hidden = _prepare(scenario, world, service)
            _assert_hidden(asker, hidden)
            transaction.set_rollback(True)

    check_scenario()


def _assert_hidden(asker: Asker, hidden: Shown) -> None:
    allowed = {track.pk for track in asker.world.tracks} - hidden.tracks
    for name, ask in PATHS.items():
        shown = ask(asker)
        assert not shown.tracks & hidden.tracks, name
        assert not shown.artists & hidden.artists, name
        assert not shown.genres & hidden.genres, name
        if name in ALWAYS_SHOW:
            assert bool(shown.tracks) == bool(allowed), name


def _prepare(scenario: dict[str, Any], world: NumberedCatalogue, service: APIClient) -> tuple[Asker, Shown]:
    """Return who asks, and what must not be shown to them."""
    listener = world.users[2] if scenario["listener"] == "in the model" else User.objects.create_user("somebody")
    listener.consent, listener.allow_explicit, listener.market = scenario["consent"], False, "DE"
    listener.save()
    own = APIClient()
    own.credentials(HTTP_AUTHORIZATION=f"Bearer {sign_in(listener).access}")
    hidden = Shown()
    for name, fields in (
        ("taken_down", {"taken_down_at": timezone.now()}),
        ("explicit", {"explicit": True}),
        ("abroad", {"markets": "AT FR"}),
    ):
        track_ids = {world.tracks[n].pk for n in scenario[name]}
        Track.objects.filter(pk__in=track_ids).update(**fields)
        hidden.tracks |= track_ids
    bump_catalogue_revision()
    for number in scenario["disliked"]:
        store_interaction(listener, world.tracks[number], "dislike", at=timezone.now())
        hidden.tracks.add(world.tracks[number].pk)
    excluded = [world.tracks[number].pk for number in scenario["excluded"]]
    add_exclusions(listener.pk, [ExclusionTarget(ExclusionKind.TRACK, track_id) for track_id in excluded])
    hidden.tracks |= set(excluded)
    for kind, number in scenario["blocks"]:
        target, track_ids = world.block_target(kind, number)
        add_block(listener.pk, kind, target, None)
        hidden.tracks |= track_ids
        if kind == "genre":
            hidden.genres.add(target)
    for artist in world.artists:
        if {track.pk for track in world.tracks if track.artist_id == artist.pk} <= hidden.tracks:
            hidden.artists.add(artist.pk)
    seed = Track.objects.select_related("artist").get(pk=world.tracks[scenario["seed"]].pk)
    return Asker(listener, world, seed, service, own), hidden
