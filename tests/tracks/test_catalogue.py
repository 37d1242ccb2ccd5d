import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from importers.records import TagRecord, TrackRecord
from tests.conftest import assert_problem
from tests.people import CatalogueFactory
from tracks.imports import import_tracks
from tracks.models import Album, Artist, Tag, Track, TrackTag
from tracks.selectors import content_neighbours

RECORD = TrackRecord(
    external_id="x:1",
    title="Morning",
    artist="Ada",
    artist_id="x:a",
    album="Hours",
    album_id="x:h",
    year=1999,
    duration_ms=200_000,
    isrc="GBAYE0601498",
    tempo=120.0,
    tags=(TagRecord("folk", "genre", 3), TagRecord("calm", "mood")),
    file="tracks.csv",
    line=2,
)


@pytest.mark.usefixtures("db")
def test_importing_a_record_creates_track_artist_album_and_tags() -> None:
    change = import_tracks([RECORD])
    assert (change.added, change.updated, change.refusals) == (1, 0, [])
    track = Track.objects.get()
    assert (track.title, track.artist.name, track.album.title, track.album.year) == ("Morning", "Ada", "Hours", 1999)
    assert {(t.tag.name, t.tag.kind, t.weight) for t in track.track_tags.all()} == {
        ("folk", "genre", 3),
        ("calm", "mood", 1),
    }


@pytest.mark.usefixtures("db")
def test_importing_a_record_again_changes_nothing() -> None:
    import_tracks([RECORD])
    change = import_tracks([RECORD, RECORD])
    assert (change.added, change.updated) == (0, 0)
    counts = [kind.objects.count() for kind in (Artist, Album, Track, TrackTag)]
    assert counts == [1, 1, 1, 2]


@pytest.mark.usefixtures("db")
def test_a_record_updates_only_the_fields_that_it_states() -> None:
    import_tracks([RECORD])
    change = import_tracks([TrackRecord("x:1", "Morning (remastered)", "Ada", "x:a")])
    assert (change.added, change.updated) == (0, 1)
    track = Track.objects.get()
    assert (track.title, track.duration_ms, track.isrc) == ("Morning (remastered)", 200_000, "GBAYE0601498")


@pytest.mark.usefixtures("db")
def test_records_of_one_recording_on_two_albums_are_two_tracks() -> None:
    import_tracks([RECORD])
    change = import_tracks([RECORD._replace(external_id="x:2", album="Best of Hours", album_id="x:b")])
    assert (change.added, change.refusals) == (1, [])
    assert list(Track.objects.values_list("isrc", "album__title").order_by("pk")) == [
        ("GBAYE0601498", "Hours"),
        ("GBAYE0601498", "Best of Hours"),
    ]


def test_track_details_show_everything_that_is_known(service: APIClient) -> None:
    import_tracks([RECORD])
    track, tags = Track.objects.get(), dict(Tag.objects.values_list("name", "pk"))
    assert service.get(f"/tracks/{track.pk}").json() == {
        "track_id": track.pk,
        "title": "Morning",
        "artist_name": "Ada",
        "artist_id": track.artist_id,
        "album_id": track.album_id,
        "duration_ms": 200_000,
        "preview_url": None,
        "cover_url": None,
        "external_id": "x:1",
        "album_title": "Hours",
        "year": 1999,
        "released_on": None,
        "isrc": "GBAYE0601498",
        "mbid": None,
        "tempo": 120.0,
        "energy": None,
        "valence": None,
        "danceability": None,
        "acousticness": None,
        "markets": [],
        "available": True,
        "explicit": False,
        "tags": [
            {"tag_id": tags["folk"], "name": "folk", "kind": "genre", "weight": 3.0},
            {"tag_id": tags["calm"], "name": "calm", "kind": "mood", "weight": 1.0},
        ],
    }


def test_a_track_without_a_cover_shows_the_albums_cover(service: APIClient, catalogue: CatalogueFactory) -> None:
    album = Album.objects.create(title="A", artist=catalogue.artist, cover_url="https://example.org/a.jpg")
    track = catalogue.tracks(1, album=album)[0]
    assert service.get(f"/tracks/{track.pk}").json()["cover_url"] == "https://example.org/a.jpg"


@pytest.mark.parametrize("track_id", ["999", "9" * 30, "9" * 5000, "0", "external:t:9"])
def test_an_unknown_track_is_a_404(service: APIClient, track_id: str) -> None:
    assert_problem(service.get(f"/tracks/{track_id}"), 404)


@pytest.mark.parametrize(
    "fields",
    [{"duration_ms": 0}, {"tempo": 5.0}, {"energy": 1.5}, {"valence": -0.1}, {"danceability": 2}, {"acousticness": 9}],
)
def test_the_database_refuses_values_out_of_range(catalogue: CatalogueFactory, fields: dict[str, float]) -> None:
    with pytest.raises((IntegrityError, ValidationError)), transaction.atomic():
        catalogue.tracks(1, **fields)
    assert not Track.objects.exists()


@pytest.mark.usefixtures("db")
def test_content_neighbours_share_artist_album_or_tags() -> None:
    same_artist = TrackRecord("x:2", "Noon", "Ada", "x:a")
    same_album = TrackRecord("x:3", "Dusk", "Ada", "x:a", "Hours", "x:h")
    same_tag = TrackRecord("x:4", "Night", "Bea", "x:b", tags=(TagRecord("folk", "genre"),))
    nothing = TrackRecord("x:5", "Void", "Cas", "x:c")
    import_tracks([RECORD, same_artist, same_album, same_tag, nothing])
    titles = {t.pk: t.title for t in Track.objects.all()}
    near = content_neighbours(Track.objects.get(external_id="x:1").pk)
    assert [(titles[track], score) for track, score in near] == [("Dusk", 2), ("Noon", 1), ("Night", 0.5)]


def test_a_track_is_found_by_its_external_id(service: APIClient) -> None:
    import_tracks([RECORD])
    found = service.get("/tracks", {"external_id": "x:1"})
    assert (found.status_code, found.json()["title"]) == (200, "Morning")
    assert_problem(service.get("/tracks", {"external_id": "x:2"}), 404)
    for wrong in ({}, {"external_id": ""}, {"external_id": "x" * 129}, {"external_id": "\x00"}):
        assert assert_problem(service.get("/tracks", wrong), 400)["errors"][0]["pointer"] == "?external_id"


@pytest.mark.usefixtures("db")
def test_of_two_records_of_a_track_the_later_overrides_what_it_states() -> None:
    import_tracks([RECORD, TrackRecord("x:1", "Morning II", "Ada", "x:a")])
    track = Track.objects.get()
    assert (track.title, track.duration_ms, track.isrc, track.track_tags.count()) == (
        "Morning II",
        200_000,
        "GBAYE0601498",
        2,
    )


@pytest.mark.usefixtures("db")
def test_a_placeholder_title_names_a_new_track_and_never_renames_a_known_one() -> None:
    nameless = TrackRecord("x:1", "Track 1", "Ada", "x:a", has_placeholder_names=True)
    import_tracks([RECORD])
    assert import_tracks([nameless]).updated == 0
    import_tracks([nameless._replace(external_id="x:2", title="Track 2")])
    assert sorted(Track.objects.values_list("title", flat=True)) == ["Morning", "Track 2"]
