"""Searching as people type: on both databases the same queries find the same tracks."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from rest_framework.test import APIClient

from access.models import User
from importers.records import TrackRecord
from tests.conftest import assert_problem
from tests.people import store_track
from tracks.imports import import_tracks
from tracks.models import Album, Artist, SearchWord, Track, TrackDocument
from tracks.services import delete_from_catalogue, save_album, save_artist, set_taken_down

SONGS = [
    ("Hyperballad", "Björk"),
    ("Army of Me", "Björk"),
    ("Creep", "Radiohead"),
    ("Karma Police", "Radiohead"),
    ("Creep on Creepin’ On", "Timber Timbre"),
    ("Halo", "Beyoncé"),
    ("Svefn-g-englar", "Sigur Rós"),
    ("Ace of Spades", "Motörhead"),
    ("Thunderstruck", "AC/DC"),
    ("So What", "P!nk"),
    ("Praise the Lord", "A$AP Rocky"),
    ("Yesterday", "The Beatles"),
    ("Don’t Stop", "Fleetwood Mac"),
    ("Empire State of Mind (feat. Alicia Keys)", "JAY-Z"),
    ("Группа крови", "Кино"),
    ("つけまつける", "きゃりーぱみゅぱみゅ"),
    ("봄날", "방탄소년단"),
    ("😂", "Emoji Band"),
    ("÷", "Symbols"),
    ("Me and Giuliani Down by the School Yard", "!!!"),
    ("Smells Like Teen Spirit", "Nirvana"),
    ("Rock &amp; Roll", "Led Zeppelin"),
    ("Øde", "Mø"),
]
EXPECTED = {
    # title and artist, in any order, also unfinished
    "bjork hyperballad": "Hyperballad",
    "hyperballad bjork": "Hyperballad",
    "bjork hyp": "Hyperballad",
    "creep": "Creep",
    "CREEP ON": "Creep on Creepin’ On",
    "smells like te": "Smells Like Teen Spirit",
    "jay z alicia keys": "Empire State of Mind (feat. Alicia Keys)",
    "creep by radiohead": "Creep",
    # one error, or one in each word
    "radiohed creep": "Creep",
    "raidohead crep": "Creep",
    "yesterdya": "Yesterday",
    "nirvanna": "Smells Like Teen Spirit",
    "led zepelin": "Rock &amp; Roll",
    "hiperbalad": "Hyperballad",
    "группа кровь": "Группа крови",
    # accents and other ways to write a name
    "beyonce": "Halo",
    "BEYONCÉ": "Halo",
    "sigur ros": "Svefn-g-englar",
    "motorhead": "Ace of Spades",
    "ac dc": "Thunderstruck",
    "acdc": "Thunderstruck",
    "ac/dc": "Thunderstruck",
    "p!nk": "So What",
    "pink": "So What",
    "asap rocky": "Praise the Lord",
    "beatles": "Yesterday",
    "the beatles": "Yesterday",
    "dont stop": "Don’t Stop",
    "don't stop": "Don’t Stop",
    "rock and roll": "Rock &amp; Roll",
    "ode mo": "Øde",
    # other scripts
    "кино группа крови": "Группа крови",
    "ГРУППА КРОВИ": "Группа крови",
    "きゃりーぱみゅぱみゅ": "つけまつける",
    "キャリーパミュパミュ": "つけまつける",
    "つけま": "つけまつける",
    "봄날": "봄날",
    "방탄": "봄날",
    # signs
    "😂": "😂",
    "÷": "÷",
    "!!!": "Me and Giuliani Down by the School Yard",
}
HARMLESS = ['"', "*", "''; DROP TABLE tracks_track; --", "creep*)", "NEAR(creep)", "creep OR", "-creep", "a:b", "\\"]
HARMLESS += [":*", "creep & !", "%", "_", "^creep", "(", "{title}:creep", "<->", "\u200d", "＂"]
HARMLESS += ["x" * 256, "ж" * 256, "é " * 127]


@pytest.fixture
def songs(db: None) -> dict[str, Track]:
    artists = {name: Artist(name=name) for _, name in SONGS}
    for artist in artists.values():
        save_artist(artist)
    return {title: store_track(title=title, artist=artists[artist]) for title, artist in SONGS}


def titles(client: APIClient, query: str, path: str = "/search/tracks", **parameters: Any) -> list[str]:
    response = client.get(path, {"q": query} | parameters)
    assert response.status_code == 200, response.content
    return [card["title"] for card in response.json()["results"]]


@pytest.mark.usefixtures("songs")
def test_what_people_type_finds_what_they_mean(service: APIClient) -> None:
    first = {query: (titles(service, query) or [None])[0] for query in EXPECTED}
    assert first == EXPECTED


@pytest.mark.usefixtures("songs")
def test_operators_of_the_databases_and_long_queries_are_harmless(service: APIClient) -> None:
    for query in HARMLESS:
        titles(service, query)
    assert titles(service, '"creep"')[0] == "Creep"
    assert titles(service, "creep*")[0] == "Creep"


def test_a_query_that_is_too_long_or_missing_is_refused(service: APIClient) -> None:
    problem = assert_problem(service.get("/search/tracks", {"q": "x" * 4000}), 400)
    assert problem["errors"][0]["pointer"] == "?q"
    problem = assert_problem(service.get("/search/tracks"), 400)
    assert problem["errors"] == [
        {"pointer": "?q", "detail": "is missing; send what to search for, for example ?q=bjork%20hyperballad"}
    ]
    problem = assert_problem(service.get("/search?q=%20"), 400)
    assert problem["detail"] == "?q: is empty; send what to search for, for example ?q=bjork%20hyperballad"
    assert_problem(service.get("/search?q=a%00b"), 400)


@pytest.mark.parametrize(("path", "maximum"), [("/search", 20), ("/search/tracks", 100), ("/new-releases", 100)])
@pytest.mark.parametrize("limit", ["0", "101", "x", "9" * 2000])
def test_a_limit_out_of_range_is_refused_with_the_range(
    service: APIClient, path: str, maximum: int, limit: str
) -> None:
    problem = assert_problem(service.get(path, {"limit": limit} | ({"q": "creep"} if "search" in path else {})), 400)
    assert problem["detail"] == f"?limit: must be an integer from 1 to {maximum}"


def test_a_search_box_gets_tracks_artists_and_albums(service: APIClient, songs: dict[str, Track]) -> None:
    creep = songs["Creep"]
    album = Album(title="Creep and other songs", artist=creep.artist, year=1993, cover_url="https://x.example/c.jpg")
    save_album(album)
    assert service.get("/search", {"q": "radiohead creep", "limit": 1}).json() == {
        "tracks": [
            {
                "track_id": creep.pk,
                "title": "Creep",
                "artist_name": "Radiohead",
                "artist_id": creep.artist_id,
                "album_id": None,
                "duration_ms": None,
                "preview_url": None,
                "cover_url": None,
                "external_id": None,
                "explicit": False,
            }
        ],
        "artists": [],
        "albums": [
            {
                "album_id": album.pk,
                "title": "Creep and other songs",
                "artist_name": "Radiohead",
                "artist_id": creep.artist_id,
                "year": 1993,
                "released_on": None,
                "cover_url": "https://x.example/c.jpg",
                "external_id": None,
                "mbid": None,
            }
        ],
    }
    radiohead = {"artist_id": creep.artist_id, "name": "Radiohead", "external_id": None, "mbid": None}
    assert service.get("/search/artists?q=radiohaed").json()["results"] == [radiohead]
    assert titles(service, "other songs", "/search/albums") == ["Creep and other songs"]


def test_pages_continue_where_the_previous_one_ended(service: APIClient, songs: dict[str, Track]) -> None:
    for number in range(7):
        store_track(title=f"Creep {number}", artist=songs["Creep"].artist)
    in_one = titles(service, "creep", limit=100)
    assert len(in_one) == 9
    page = service.get("/search/tracks?q=creep&limit=4").json()
    pages = [[card["title"] for card in page["results"]]]
    while page["next"]:
        page = service.get(page["next"]).json()
        pages.append([card["title"] for card in page["results"]])
    assert list(map(len, pages)) == [4, 4, 1]
    assert [title for titles_of_page in pages for title in titles_of_page] == in_one
    assert_problem(service.get("/search/tracks?q=creep&cursor=WzEsMl0"), 400)


def test_unavailable_tracks_are_not_found(
    service: APIClient, songs: dict[str, Track], alice: User, as_listener: Callable[[User], APIClient]
) -> None:
    german = store_track(title="Only there", artist=songs["Creep"].artist, markets="AT DE")
    explicit = store_track(title="Only adults", artist=songs["Creep"].artist, explicit=True)
    set_taken_down([store_track(title="Only then", artist=songs["Creep"].artist).pk], datetime.now(UTC))
    assert sorted(titles(service, "only")) == ["Only adults", "Only there"]
    assert titles(service, "only", market="FR") == [explicit.title]
    assert titles(service, "only", market="DE", explicit="false") == [german.title]
    alice.market, alice.allow_explicit = "FR", False
    alice.save()
    phone = as_listener(alice)
    assert titles(phone, "only") == []
    assert titles(phone, "only", market="DE", explicit="true") == [german.title]
    assert [card["title"] for card in phone.get("/search?q=only&market=DE").json()["tracks"]] == [german.title]


def test_a_new_name_replaces_the_old_one(service: APIClient, songs: dict[str, Track]) -> None:
    track = songs["Creep"]
    track.artist.name = "On a Friday"
    save_artist(track.artist)
    assert titles(service, "radiohead") == []
    assert titles(service, "on a friday creep") == ["Creep"]
    delete_from_catalogue(Artist.objects.filter(pk=track.artist_id))
    assert titles(service, "on a friday") == []
    assert TrackDocument.objects.count() == len(SONGS) - 2


def test_imported_tracks_can_be_found(service: APIClient, db: None) -> None:
    record = TrackRecord("x:1", "Morning", "Ada", "x:a", album="Hours", album_id="x:h")
    import_tracks([record])
    assert titles(service, "ada morning") == ["Morning"]
    assert titles(service, "hours ada", "/search/albums") == ["Hours"]
    import_tracks([record._replace(title="Evening")])
    assert titles(service, "morning") == []
    assert titles(service, "ada evening") == ["Evening"]


@pytest.mark.django_db(transaction=True)
def test_the_migration_makes_existing_tracks_findable(service: APIClient) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate([("tracks", "0007_search_documents")])
    artist = Artist.objects.create(name="Björk")
    Track.objects.create(title="Hyperballad", artist=artist)
    Album.objects.create(title="Post", artist=artist)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("tracks"))
    assert titles(service, "bjork hyperbalad") == ["Hyperballad"]
    assert titles(service, "post", "/search/albums") == ["Post"]
    assert service.get("/search/artists?q=bjork").json()["results"][0]["artist_id"] == artist.pk
    assert set(SearchWord.objects.values_list("word", flat=True)) == {"bjork", "hyperballad", "post"}
