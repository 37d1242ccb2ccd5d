"""Players that speak to AudioMuse-AI are answered, by the requests that Navidrome's plugin sends."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import Scope, User
from access.services import create_service_key
from access.sign_ins import sign_in
from experiments.exposures.log import slate_log
from experiments.models import Slate
from interactions.models import Block, Interaction
from interactions.preferences.services import set_opinion
from interactions.services import refresh_popular_tracks
from recommendations.audiomuse.item_ids import find_artist_id
from recommendations.serving.model_cache import model_cache
from recommendations.training.run import run_training
from tests.people import CatalogueFactory, store_track
from tracks.models import Album, Artist, Tag, Track, TrackTag
from tracks.services import save_artist, save_track

Json = Any


def as_bearer(token: str) -> APIClient:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return api


@pytest.fixture
def player(db: None) -> APIClient:
    """Return a client with the only credential that the plugin can send."""
    return as_bearer(create_service_key("navidrome", [Scope.RECOMMEND]))


@pytest.fixture
def library(db: None) -> list[Track]:
    """Return four albums of four artists with six tracks each, with the ids of Navidrome: two rock, two jazz.

    Four listeners play rock, four play jazz. The artists are numbered 0 and 1 (rock), 2 and 3 (jazz), and the tracks of
    an artist follow one another.
    """
    tracks = []
    for number in range(4):
        artist = Artist(name=f"Artist {number}", external_id=f"navidrome:artist-{number}")
        save_artist(artist)
        album = Album.objects.create(title=f"Album {number}", artist=artist)
        genre, _ = Tag.objects.get_or_create(name="rock" if number < 2 else "jazz", kind=Tag.Kind.GENRE)
        for song in range(6):
            external_id = f"navidrome:song-{6 * number + song}"
            track = store_track(title=f"Song {6 * number + song}", artist=artist, album=album, external_id=external_id)
            TrackTag.objects.create(track=track, tag=genre)
            tracks.append(track)
    return tracks


@pytest.fixture
def model(library: list[Track], settings: Any) -> list[Track]:
    """Return the library, with a version in service that was trained on plays of it."""
    settings.MUSICREC = settings.MUSICREC | {"FACTORS": 4}
    random = np.random.default_rng(7)
    for number in range(24):
        user = User.objects.create(username=f"listener-{number}")
        genre = library[:12] if number % 2 else library[12:]
        CatalogueFactory.play(user, *(track for track in genre if random.random() < 0.7))
    refresh_popular_tracks()
    assert run_training("test").status == "Published"
    return library


def get(player: APIClient, path: str, **parameters: Any) -> Any:
    return player.get(f"/api/{path}?{urlencode(parameters)}")


def similar_tracks(player: APIClient, item_id: str, n: int = 10, **parameters: Any) -> Json:
    """Send the request of the plugin's GetSimilarSongsByTrack."""
    options = {"item_id": item_id, "n": n, "eliminate_duplicates": "true", "radius_similarity": "true"} | parameters
    response = get(player, "similar_tracks", **options)
    assert response.status_code == 200, response.content
    return response.json()


def similar_artists(player: APIClient, artist: str, n: int = 10, matches: bool = True) -> Json:
    """Send the request of the plugin's GetSimilarSongsByArtist, or without matches of GetSimilarArtists."""
    options = {"artist": artist, "n": n, "include_component_matches": str(matches).lower()}
    response = get(player, "similar_artists", **options)
    assert response.status_code == 200, response.content
    return response.json()


def find_path(player: APIClient, start: str, end: str, count: int = 25) -> Json:
    """Send the request of the plugin's FindSonicPath."""
    options = {"count": count, "max_steps": count, "path_fix_size": "false", "mood_pct": 100}
    response = get(player, "find_path", start_song_id=start, end_song_id=end, **options)
    assert response.status_code == 200, response.content
    return response.json()


def number_of(item: Json) -> int:
    return int(item["item_id"].removeprefix("song-"))


class TestSimilarTracks:
    def test_the_nearest_tracks_come_first(self, player: APIClient, model: list[Track]) -> None:
        songs = similar_tracks(player, "song-0", 5, eliminate_duplicates="false")
        assert len(songs) == 5
        assert all(number_of(song) in range(1, 12) for song in songs)
        first = songs[0]
        number = number_of(first)
        names = {"title": f"Song {number}", "author": f"Artist {number // 6}", "album": f"Album {number // 6}"}
        assert first == {"item_id": f"song-{number}", **names, "distance": first["distance"]}
        distances = [song["distance"] for song in songs]
        assert distances == sorted(distances)
        assert 0 <= distances[0] <= distances[-1] < 1

    def test_the_distance_is_one_minus_the_cosine(self, player: APIClient, model: list[Track]) -> None:
        bundle = model_cache.current().bundle
        rows = {number: bundle.items.row(track.pk) for number, track in enumerate(model)}
        unit = bundle.item_factors / bundle.item_norms[:, None]
        for song in similar_tracks(player, "song-3", 8, eliminate_duplicates="false"):
            cosine = float(unit[rows[3]] @ unit[rows[number_of(song)]])
            assert song["distance"] == pytest.approx(min(max(1 - cosine, 0), 1), abs=1e-5)

    def test_without_duplicates_an_artist_has_three_tracks_and_a_name_occurs_once(
        self, player: APIClient, model: list[Track]
    ) -> None:
        store_track(title="SONG 0 (Remastered)", artist=model[0].artist, album=model[0].album)
        songs = similar_tracks(player, "song-0", 12)
        authors = [song["author"] for song in songs]
        assert max(authors.count(author) for author in authors) == 3
        assert "SONG 0 (Remastered)" not in {song["title"] for song in songs}
        assert len(similar_tracks(player, "song-0", 12, eliminate_duplicates="false")) == 12

    def test_a_track_that_nobody_played_has_neighbours_by_its_content(
        self, player: APIClient, model: list[Track]
    ) -> None:
        new = store_track(title="New", artist=model[6].artist, album=model[6].album, external_id="navidrome:new")
        TrackTag.objects.create(track=new, tag=Tag.objects.get(name="rock"))
        songs = similar_tracks(player, "new", 8, eliminate_duplicates="false")
        assert {song["author"] for song in songs[:3]} == {"Artist 1"}
        assert {song["author"] for song in songs} == {"Artist 0", "Artist 1"}
        distances = [song["distance"] for song in songs]
        assert distances == sorted(distances)
        assert 0 <= distances[0] <= distances[-1] < 0.5

    def test_without_a_model_it_answers_too(self, player: APIClient, library: list[Track]) -> None:
        songs = similar_tracks(player, "song-13", 24, eliminate_duplicates="false")
        assert [song["author"] for song in songs[:11]] == ["Artist 2"] * 5 + ["Artist 3"] * 6
        assert {song["distance"] for song in songs[11:]} == {1.0}
        assert len(songs) == 23

    def test_title_and_artist_name_a_track(self, player: APIClient, library: list[Track]) -> None:
        by_names = get(player, "similar_tracks", title="sóng 13 (Remastered)", artist="ARTIST 2", n=4)
        assert by_names.json() == similar_tracks(player, "song-13", 4)

    @pytest.mark.parametrize(("external_id", "item_id"), [("abc", "abc"), ("navidrome:abc", "abc"), (None, "own")])
    def test_a_track_is_found_by_the_id_it_is_returned_with(
        self, external_id: str | None, item_id: str, player: APIClient, library: list[Track]
    ) -> None:
        track = store_track(title="New", artist=library[0].artist, external_id=external_id)
        item_id = f"musicrec:{track.pk}" if item_id == "own" else item_id
        assert item_id in [
            song["item_id"] for song in similar_tracks(player, "song-0", 30, eliminate_duplicates="false")
        ]
        assert similar_tracks(player, item_id, 1)[0]["author"] == "Artist 0"

    def test_the_namespace_is_a_setting(self, player: APIClient, library: list[Track], settings: Any) -> None:
        settings.MUSICREC = settings.MUSICREC | {"PLAYER_NAMESPACE": "jellyfin"}
        assert get(player, "similar_tracks", item_id="song-0").status_code == 404
        assert similar_tracks(player, "navidrome:song-0", 1)[0]["item_id"].startswith("navidrome:song-")

    @pytest.mark.parametrize(
        ("n", "count"), [("", 10), ("0", 1), ("-5", 1), ("many", 10), ("3", 3), ("999999999999999999999", 23)]
    )
    def test_numbers_out_of_range_are_moved_into_it(
        self, n: str, count: int, player: APIClient, library: list[Track]
    ) -> None:
        assert len(similar_tracks(player, "song-0", n, eliminate_duplicates="false")) == count  # type: ignore[arg-type]


class TestSimilarArtists:
    @pytest.mark.parametrize("identifier", ["artist-0", "Artist 0", "ARTIST 0", "navidrome:artist-0"])
    def test_artists_of_the_same_listeners_come_first(
        self, identifier: str, player: APIClient, model: list[Track]
    ) -> None:
        artists = similar_artists(player, identifier, matches=False)
        assert artists[0] == {"artist": "Artist 1", "artist_id": "artist-1", "divergence": artists[0]["divergence"]}
        divergences = [artist["divergence"] for artist in artists]
        assert divergences == sorted(divergences)
        assert 0 <= divergences[0] < 1
        assert "artist-0" not in {artist["artist_id"] for artist in artists}
        assert similar_artists(player, identifier, 1, matches=False) == artists[:1]

    @pytest.mark.parametrize(
        ("name", "found"), [("BJÖRK", "Björk"), ("bjork", "bjork"), ("The Björk", "Björk"), ("Björk Who", None)]
    )
    def test_a_name_is_found_however_it_is_written(self, name: str, found: str | None, db: None) -> None:
        for stored in ("Björk", "bjork", "Björk"):
            save_artist(Artist(name=stored))
        oldest = Artist.objects.filter(name=found).order_by("pk").first()
        assert find_artist_id(name) == (oldest and oldest.pk)

    def test_the_index_of_names_is_used(self, db: None) -> None:
        save_artist(Artist(name="Björk"))
        with CaptureQueriesContext(connection) as queries:
            find_artist_id("Björk")
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL enable_seqscan = off")  # which is the cheapest for a single row
            cursor.execute(f"EXPLAIN {'' if connection.vendor == 'postgresql' else 'QUERY PLAN '}{queries[-1]['sql']}")
            assert "artist_document_title" in str(cursor.fetchall())

    def test_matches_name_songs_of_both_artists(self, player: APIClient, model: list[Track]) -> None:
        [match] = similar_artists(player, "artist-2", 1)[0]["component_matches"]
        own, other = (match[f"artist{n}_representative_songs"] for n in (1, 2))
        assert {number_of(song) // 6 for song in own} == {2}
        assert {number_of(song) // 6 for song in other} == {3}
        assert len(own) == len(other) == 5
        assert own[0] == {"item_id": own[0]["item_id"], "title": f"Song {number_of(own[0])}"}

    def test_without_a_model_artists_with_the_same_tags_are_similar(
        self, player: APIClient, library: list[Track]
    ) -> None:
        assert [artist["artist_id"] for artist in similar_artists(player, "artist-3", matches=False)] == ["artist-2"]
        assert get(player, "similar_artists", artist_id="artist-3").json() == similar_artists(
            player, "artist-3", matches=False
        )

    def test_an_artist_without_similar_ones_is_a_404(self, player: APIClient, library: list[Track]) -> None:
        Artist.objects.create(name="Nobody", external_id="navidrome:nobody")
        response = get(player, "similar_artists", artist="nobody")
        assert (response.status_code, response.json().keys()) == (404, {"error"})


class TestFindPath:
    def test_the_path_leads_from_one_genre_to_the_other(self, player: APIClient, model: list[Track]) -> None:
        answer = find_path(player, "song-0", "song-23", 8)
        numbers = [number_of(song) for song in answer["path"]]
        assert (numbers[0], numbers[-1], len(numbers), len(set(numbers))) == (0, 23, 8, 8)
        genres = [number < 12 for number in numbers]
        assert genres == sorted(genres, reverse=True)
        assert answer["total_distance"] > 0
        assert answer["path"][0] == {"item_id": "song-0", "title": "Song 0", "author": "Artist 0", "album": "Album 0"}

    def test_a_path_may_be_as_long_as_the_library(self, player: APIClient, model: list[Track]) -> None:
        assert len(find_path(player, "song-0", "song-23", 100)["path"]) == 24
        assert [number_of(song) for song in find_path(player, "song-0", "song-23", 1)["path"]] == [0, 23]

    def test_without_a_model_it_goes_by_similar_tracks_of_both_ends(
        self, player: APIClient, library: list[Track]
    ) -> None:
        answer = find_path(player, "song-0", "song-23", 8)
        numbers = [number_of(song) for song in answer["path"]]
        assert (numbers[0], numbers[-1], len(set(numbers)), answer["total_distance"]) == (0, 23, 8, 7.0)
        assert [number // 12 for number in numbers] == [0] * 4 + [1] * 4

    def test_two_tracks_without_anything_similar_are_a_path(self, player: APIClient, db: None) -> None:
        for name in ("one", "two"):
            store_track(title=name, artist=Artist.objects.create(name=name), external_id=name)
        answer = find_path(player, "one", "two")
        assert [song["title"] for song in answer["path"]] == ["one", "two"]


class TestFilters:
    """A listener's token applies their dislikes and blocks; a service key knows no listener."""

    def test_disliked_and_blocked_tracks_are_not_offered(
        self, player: APIClient, model: list[Track], alice: User
    ) -> None:
        mine = as_bearer(sign_in(alice).access)
        nearest = number_of(similar_tracks(mine, "song-0", 1, eliminate_duplicates="false")[0])
        set_opinion(alice.pk, model[nearest].pk, Interaction.Kind.DISLIKE)
        Block.objects.create(user=alice, kind="artist", target_id=model[6].artist_id)
        hidden = {nearest, *range(6, 12)}
        assert not hidden & set(map(number_of, similar_tracks(mine, "song-0", 30, eliminate_duplicates="false")))
        assert not hidden & set(map(number_of, find_path(mine, "song-0", "song-23", 30)["path"]))
        assert "artist-1" not in {artist["artist_id"] for artist in similar_artists(mine, "artist-0")}
        own = similar_artists(mine, "artist-0")[0]["component_matches"][0]["artist1_representative_songs"]
        assert nearest not in map(number_of, own)
        assert hidden & set(map(number_of, similar_tracks(player, "song-0", 30, eliminate_duplicates="false")))

    def test_tracks_that_were_taken_down_are_not_offered(self, player: APIClient, model: list[Track]) -> None:
        gone = model[number_of(similar_tracks(player, "song-0", 1, eliminate_duplicates="false")[0])]
        gone.taken_down_at = timezone.now()
        save_track(gone)
        songs = similar_tracks(player, "song-0", 30, eliminate_duplicates="false")
        assert gone.title not in {song["title"] for song in songs}
        assert gone.title not in {song["title"] for song in find_path(player, "song-0", "song-23")["path"]}


REQUESTS = [
    "similar_tracks?item_id=song-0",
    "similar_artists?artist=artist-0",
    "find_path?start_song_id=song-0&end_song_id=song-1",
]


@pytest.mark.parametrize("request_path", REQUESTS)
class TestCredentials:
    def test_a_key_or_a_listeners_token_is_needed(
        self, request_path: str, library: list[Track], alice: User, as_service_with: Callable[..., APIClient]
    ) -> None:
        path = f"/api/{request_path}"
        assert as_bearer(create_service_key("player", [Scope.RECOMMEND])).get(path).status_code == 200
        assert as_service_with(Scope.RECOMMEND).get(path).status_code == 200
        assert as_bearer(sign_in(alice).access).get(path).status_code == 200
        refused = {
            "nobody": APIClient().get(path),
            "an unknown key": as_bearer("mr_unknown").get(path),
            "an unknown token": as_bearer("unknown").get(path),
        }
        assert {name: response.status_code for name, response in refused.items()} == dict.fromkeys(refused, 401)
        without_scope = as_bearer(create_service_key("events", [Scope.EVENTS])).get(path)
        assert without_scope.status_code == 403
        for response in (*refused.values(), without_scope):
            assert response["Content-Type"] == "application/json"
            assert response.json().keys() == {"error"}

    def test_no_slate_is_logged(self, request_path: str, player: APIClient, library: list[Track]) -> None:
        assert player.get(f"/api/{request_path}").status_code == 200
        slate_log.flush()
        assert not Slate.objects.exists()


def test_a_key_is_no_bearer_token_elsewhere(player: APIClient, library: list[Track]) -> None:
    assert player.get(f"/recommend/similar/{library[0].pk}").status_code == 401


@pytest.mark.parametrize(
    ("request_path", "status", "detail"),
    [
        ("similar_tracks", 400, "item_id"),
        ("similar_tracks?title=Song 0", 400, "artist"),
        ("similar_tracks?mood=happy&centroid_index=0", 400, "item_id"),
        ("similar_tracks?item_id=unknown", 404, "no such track"),
        ("similar_tracks?item_id=a%00", 404, "no such track"),
        ("similar_tracks?item_id=musicrec:99999999999999999999", 404, "no such track"),
        ("similar_tracks?title=Unknown&artist=Nobody", 404, "no such track"),
        ("similar_artists", 400, "artist"),
        ("similar_artists?artist=unknown", 404, "no such artist"),
        ("similar_artists?artist=a%00", 404, "no such artist"),
        ("find_path", 400, "start_song_id"),
        ("find_path?start_song_id=song-0&end_mood=happy", 400, "end_song_id"),
        ("find_path?start_song_id=song-0&end_song_id=song-0", 400, "same track"),
        ("find_path?start_song_id=song-0&end_song_id=unknown", 404, "end_song_id"),
        ("find_path?start_song_id=unknown&end_song_id=song-0", 404, "start_song_id"),
    ],
)
def test_errors_have_the_form_of_audiomuse(
    player: APIClient, library: list[Track], request_path: str, status: int, detail: str
) -> None:
    response = player.get(f"/api/{request_path}")
    assert (response.status_code, response["Content-Type"]) == (status, "application/json")
    assert response.json().keys() == {"error"}
    assert detail in response.json()["error"]
