"""PUT and DELETE of tracks, artists and albums."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from rest_framework.test import APIClient

from tests.conftest import assert_problem
from tests.people import CatalogueFactory
from tracks.models import Album, Artist, Track, TrackTag
from tracks.selectors import catalogue_revision
from tracks.upserts import upsert_tracks

MORNING = {
    "title": "Morning",
    "artist": {"external_id": "a:1", "name": "Ada"},
    "album": {"external_id": "al:1", "title": "Hours"},
    "duration_ms": 200_000,
    "released_on": "2024-05-17",
    "isrc": "gb-aye-06-01498",
    "mbid": "f27ec8db-af05-4f36-916e-3d57f91ecf5e",
    "tags": [{"name": "folk", "kind": "genre", "weight": 3}, {"name": "calm"}],
    "tempo": 120,
    "energy": 0.5,
    "valence": 0.25,
    "danceability": 0.75,
    "acousticness": 1,
    "explicit": True,
    "markets": ["DE", "AT", "DE"],
    "preview_url": "https://cdn.example.org/1.mp3",
    "cover_url": "http://covers/1.jpg",
}


def put(service: APIClient, path: str, body: Any) -> Any:
    return service.put(path, body, format="json")


def item(external_id: str, **fields: Any) -> dict[str, Any]:
    """Return a valid track with an id."""
    return {"external_id": external_id, "title": f"Song {external_id}", "artist": {"name": "Ada"}} | fields


def test_put_creates_a_track_with_artist_album_and_tags(service: APIClient) -> None:
    response = put(service, "/tracks/external:42", MORNING)
    track = Track.objects.get()
    tags = {t.tag.name: t.tag_id for t in track.track_tags.select_related("tag")}
    assert response.status_code == 201, response.content
    assert response.json() == {
        "track_id": track.pk,
        "external_id": "42",
        "title": "Morning",
        "artist_id": Artist.objects.get(external_id="a:1").pk,
        "artist_name": "Ada",
        "album_id": Album.objects.get(external_id="al:1").pk,
        "album_title": "Hours",
        "year": 2024,
        "released_on": "2024-05-17",
        "duration_ms": 200_000,
        "isrc": "GBAYE0601498",
        "mbid": "f27ec8db-af05-4f36-916e-3d57f91ecf5e",
        "tempo": 120.0,
        "energy": 0.5,
        "valence": 0.25,
        "danceability": 0.75,
        "acousticness": 1.0,
        "explicit": True,
        "markets": ["AT", "DE"],
        "available": True,
        "preview_url": "https://cdn.example.org/1.mp3",
        "cover_url": "http://covers/1.jpg",
        "tags": [
            {"tag_id": tags["folk"], "name": "folk", "kind": "genre", "weight": 3.0},
            {"tag_id": tags["calm"], "name": "calm", "kind": "other", "weight": 1.0},
        ],
    }
    assert service.get("/tracks/external:42").json() == response.json()
    assert track.match_key == "ada\x1fmorning"


def test_the_same_put_again_changes_nothing_and_keeps_the_revision(service: APIClient) -> None:
    first = put(service, "/tracks/external:42", MORNING)
    revision = catalogue_revision()
    second = put(service, "/tracks/external:42", MORNING)
    assert (second.status_code, second.json()) == (200, first.json())
    assert catalogue_revision() == revision
    bulk = put(service, "/tracks", {"tracks": [{"external_id": "42", **MORNING}]}).json()
    assert (bulk["created"], bulk["updated"], bulk["unchanged"], bulk["rejected"]) == (0, 0, 1, [])
    assert catalogue_revision() == revision


def test_absent_fields_stay_and_null_clears(service: APIClient) -> None:
    before = put(service, "/tracks/external:42", MORNING).json()
    assert put(service, "/tracks/external:42", {"tempo": 121}).json() == before | {"tempo": 121.0}
    nothing = dict.fromkeys(MORNING, None) | {"title": "Morning", "artist": {"external_id": "a:1"}}
    after = put(service, "/tracks/external:42", nothing).json()
    cleared = {name: None for name in after if name in MORNING} | {"album_id": None, "album_title": None, "year": None}
    cleared |= {"title": "Morning", "explicit": False, "markets": [], "tags": []}
    assert after == before | cleared
    assert not TrackTag.objects.exists()


def test_tags_replace_the_tags_of_the_track(service: APIClient) -> None:
    put(service, "/tracks/external:42", MORNING)
    tags = [{"name": "calm", "weight": 2}, {"name": "rain", "kind": "mood"}]
    answer = put(service, "/tracks/external:42", {"tags": tags}).json()
    assert [(t["name"], t["kind"], t["weight"]) for t in answer["tags"]] == [("calm", "other", 2), ("rain", "mood", 1)]


def test_an_integer_names_an_existing_track_and_never_creates_one(
    service: APIClient, catalogue: CatalogueFactory
) -> None:
    [track] = catalogue.tracks(1)
    assert put(service, f"/tracks/{track.pk}", {"title": "Renamed"}).json()["title"] == "Renamed"
    for missing in (track.pk + 1, 10**30):
        problem = assert_problem(put(service, f"/tracks/{missing}", MORNING), 404)
        assert f"an id of your own is written external:{missing}" in problem["detail"]
    assert Track.objects.count() == 1


def test_the_prefix_may_be_left_out_before_an_id_that_is_no_number(service: APIClient) -> None:
    created = put(service, "/tracks/song:morning", MORNING)
    assert (created.status_code, created.json()["external_id"]) == (201, "song:morning")
    assert put(service, "/tracks/external:song:morning", MORNING).json() == created.json()
    assert service.get("/tracks/song:morning").json() == created.json()
    assert service.delete("/tracks/song:morning").status_code == 204
    assert Track.objects.get().taken_down_at is not None


INVALID: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown field": ({"bpm": 1}, "#/bpm", "unknown field; this body accepts title, artist"),
    "no title": ({"title": None}, "#/title", "may not be null"),
    "a blank title": (
        {"title": "  "},
        "#/title",
        "must not be empty or consist of spaces; send a text, or leave the field out",
    ),
    "a switch": ({"explicit": "perhaps"}, "#/explicit", "must be true or false"),
    "an unknown field of the artist": ({"artist": {"id": 1}}, "#/artist/id", "accepts external_id, name"),
    "no artist": ({"artist": {}}, "#/artist", "send external_id, name or both"),
    "an unknown artist": ({"artist": {"external_id": "?"}}, "#/artist/name", "the artist is not in the catalogue yet"),
    "an unknown album": ({"album": {"external_id": "?"}}, "#/album/title", "the album is not in the catalogue yet"),
    "a tempo": ({"tempo": 401}, "#/tempo", "less than or equal to 400"),
    "infinity": ({"energy": "Infinity"}, "#/energy", "A valid number is required."),
    "an ISRC": ({"isrc": "123"}, "#/isrc", "12 letters and digits"),
    "an MBID": ({"mbid": 1}, "#/mbid", "Must be a valid UUID."),
    "a URL": ({"preview_url": "ftp://example.org/a.mp3"}, "#/preview_url", "http or https address"),
    "a script": ({"cover_url": "javascript://x"}, "#/cover_url", "http or https address"),
    "a market": ({"markets": ["Germany"]}, "#/markets/0", "two capital letters, as in ISO 3166-1"),
    "a date": ({"released_on": "2024"}, "#/released_on", "YYYY-MM-DD"),
    "a tag sent twice": ({"tags": [{"name": "a"}, {"name": "a"}]}, "#/tags", "sent twice"),
    "a weight": ({"tags": [{"name": "a", "weight": 0}]}, "#/tags/0/weight", "must be more than 0"),
    "a kind": (
        {"tags": [{"name": "a", "kind": "x"}]},
        "#/tags/0/kind",
        "must be one of genre, mood, instrument, other",
    ),
    "a duration": ({"duration_ms": 0}, "#/duration_ms", "greater than or equal to 1"),
}


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_field_is_named_and_nothing_is_stored(case: str, service: APIClient) -> None:
    fields, pointer, detail = INVALID[case]
    problem = assert_problem(put(service, "/tracks/external:42", MORNING | fields), 400)
    assert problem["errors"][0]["pointer"] == pointer
    assert detail in problem["errors"][0]["detail"]
    for model in (Track, Album, Artist):
        assert not model.objects.exists()


def test_a_new_track_needs_title_and_artist(service: APIClient) -> None:
    problem = assert_problem(put(service, "/tracks/external:42", {}), 400)
    detail = "is required, because the track is not in the catalogue yet"
    assert problem["errors"] == [{"pointer": f"#/{name}", "detail": detail} for name in ("title", "artist")]
    assert not Track.objects.exists()


def test_a_recording_on_several_releases_is_a_track_on_each_with_the_same_isrc_and_mbid(service: APIClient) -> None:
    for external_id in ("42", "43"):
        assert put(service, f"/tracks/external:{external_id}", MORNING).status_code == 201
    recordings = Track.objects.values_list("isrc", "mbid").distinct()
    assert (Track.objects.count(), recordings.get()) == (2, ("GBAYE0601498", UUID(str(MORNING["mbid"]))))


def test_in_bulk_one_invalid_item_does_not_affect_the_others(service: APIClient) -> None:
    put(service, "/tracks", {"tracks": [item("known")]})
    body = {
        "tracks": [
            item("1", isrc="GBAYE0601498"),
            item("2", isrc="too short"),
            item("3", title="half an emoji \ud83d"),
            item("1"),
            item("known", title="New title"),
            {"external_id": "4", "title": "No artist"},
        ]
    }
    answer = service.put("/tracks", json.dumps(body), content_type="application/json")
    ids = dict(Track.objects.values_list("external_id", "pk"))
    assert (answer.status_code, ids.keys()) == (200, {"1", "known"})
    assert answer.json() | {"rejected": None} == {
        "created": 1,
        "updated": 1,
        "unchanged": 0,
        "rejected": None,
        "results": [
            {"index": 0, "external_id": "1", "track_id": ids["1"]},
            {"index": 4, "external_id": "known", "track_id": ids["known"]},
        ],
    }
    assert [(r["index"], r["external_id"], r["errors"][0]["pointer"]) for r in answer.json()["rejected"]] == [
        (1, "2", "#/tracks/1/isrc"),
        (2, "3", "#/tracks/2/title"),
        (3, "1", "#/tracks/3/external_id"),
        (5, "4", "#/tracks/5/artist"),
    ]


def test_artists_and_albums_without_ids_are_told_apart_by_their_names(service: APIClient) -> None:
    hours, days = {"title": "Hours"}, {"title": "Days"}
    tracks = [
        item("1", artist={"name": "Ada"}, album=hours),
        item("2", artist={"name": "ADA"}, album=hours),
        item("3", artist={"name": "Bea"}, album=hours),
        item("4", artist={"name": "Ada"}, album=days),
    ]
    assert put(service, "/tracks", {"tracks": tracks}).json()["created"] == 4
    assert sorted(Artist.objects.values_list("external_id", "name")) == [("name:ada", "Ada"), ("name:bea", "Bea")]
    assert sorted(Album.objects.values_list("artist__external_id", "title")) == [
        ("name:ada", "Days"),
        ("name:ada", "Hours"),
        ("name:bea", "Hours"),
    ]


def test_an_artist_is_renamed_with_the_match_keys_of_their_tracks(service: APIClient) -> None:
    put(service, "/tracks/external:42", MORNING)
    artist = Artist.objects.get()
    response = put(service, "/artists/external:a:1", {"name": "Ada L."})
    assert (response.status_code, response.json()) == (
        200,
        {"artist_id": artist.pk, "external_id": "a:1", "name": "Ada L.", "mbid": None},
    )
    assert Track.objects.get().match_key == "ada l\x1fmorning"
    put(service, "/tracks/external:42", MORNING)
    assert Artist.objects.get().name == "Ada L."


def test_artists_and_albums_are_created_and_updated_in_bulk(service: APIClient) -> None:
    mbid = "f27ec8db-af05-4f36-916e-3d57f91ecf5e"
    artists = [{"external_id": "a", "name": "Ada", "mbid": mbid}, {"external_id": "b", "name": "Bea", "mbid": mbid}]
    answer = put(service, "/artists", {"artists": artists}).json()
    ada = Artist.objects.get()
    assert answer == {
        "created": 1,
        "updated": 0,
        "unchanged": 0,
        "rejected": [
            {
                "index": 1,
                "external_id": "b",
                "errors": [
                    {
                        "pointer": "#/artists/1/mbid",
                        "detail": f"{mbid} is the mbid of artist 'a' already; correct one of the two",
                    }
                ],
            }
        ],
        "results": [{"index": 0, "external_id": "a", "artist_id": ada.pk}],
    }
    album = {"external_id": "h", "title": "Hours", "artist": {"external_id": "a"}, "released_on": "2020-02-29"}
    assert put(service, "/albums", {"albums": [album]}).json()["created"] == 1
    changed = put(service, "/albums/external:h", {"title": "Years", "cover_url": "https://example.org/h.jpg"})
    assert (changed.status_code, changed.json()) == (
        200,
        {
            "album_id": Album.objects.get().pk,
            "external_id": "h",
            "title": "Years",
            "artist_id": ada.pk,
            "artist_name": "Ada",
            "year": 2020,
            "released_on": "2020-02-29",
            "cover_url": "https://example.org/h.jpg",
            "mbid": None,
        },
    )


def recommended(service: APIClient) -> set[str]:
    answer = service.get("/recommend/user/1/ml?limit=100").json()
    return {result["external_id"] for result in answer["results"]}


def test_a_track_that_is_deleted_is_recommended_to_nobody_from_the_next_request_on(service: APIClient) -> None:
    put(service, "/tracks", {"tracks": [item("1"), item("2"), item("3")]})
    assert recommended(service) == {"1", "2", "3"}
    assert service.delete("/tracks/external:2").status_code == 204
    assert recommended(service) == {"1", "3"}
    revision = catalogue_revision()
    assert service.delete("/tracks/external:2").status_code == 204
    assert catalogue_revision() == revision
    assert service.get("/tracks/external:2").json()["available"] is False
    assert_problem(service.delete("/tracks/external:9"), 404)
    assert_problem(service.delete("/tracks/999"), 404)


def test_only_available_true_offers_a_track_again(service: APIClient) -> None:
    put(service, "/tracks", {"tracks": [item("1"), item("2")]})
    service.delete("/tracks/external:1")
    put(service, "/tracks", {"tracks": [item("1", title="From the nightly sync"), item("2", available=False)]})
    assert recommended(service) == set()
    put(service, "/tracks", {"tracks": [item("1", available=True)]})
    assert recommended(service) == {"1"}


@pytest.mark.parametrize("path", ["/artists/external:name:ada", "/albums/external:h"])
def test_deleting_an_artist_or_album_takes_its_tracks_down(path: str, service: APIClient) -> None:
    album = {"external_id": "h", "title": "Hours"}
    tracks = [item("1", album=album), item("2", album=album), item("3", artist={"name": "Bea"})]
    put(service, "/tracks", {"tracks": tracks})
    assert service.delete(path).status_code == 204
    assert recommended(service) == {"3"}


@pytest.fixture
def run_at_once(transactional_db: None) -> Iterator[Callable[..., list[Any]]]:
    """Return a function that calls functions in threads that start together, and returns what they return."""

    def run(*functions: Callable[[], Any]) -> list[Any]:
        barrier = threading.Barrier(len(functions))
        results: list[Any] = [None] * len(functions)

        def call(number: int) -> None:
            barrier.wait()
            try:
                results[number] = functions[number]()
            except Exception as error:
                results[number] = error
            finally:
                connection.close()

        threads = [threading.Thread(target=call, args=(number,)) for number in range(len(functions))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    return run


def test_two_upserts_of_one_external_id_at_once_make_one_row(run_at_once: Callable[..., list[Any]]) -> None:
    for number in range(10):
        outcomes = run_at_once(*[lambda n=number: upsert_tracks([item(f"{n}")])] * 4)
        assert sorted(outcome.status for [outcome] in outcomes) == ["created", *["unchanged"] * 3]
    assert (Track.objects.count(), Artist.objects.count()) == (10, 1)


def test_bulk_upserts_in_opposite_orders_do_not_deadlock(run_at_once: Callable[..., list[Any]]) -> None:
    tracks = [item(f"{n}", artist={"name": f"Artist {n % 7}"}, tags=[]) for n in range(100)]
    for number in range(5):
        changed = [track | {"title": f"{track['title']} {number}"} for track in tracks]
        outcomes = run_at_once(lambda c=changed: upsert_tracks(c), lambda c=changed: upsert_tracks(c[::-1]))
        statuses = {frozenset(outcome.status for outcome in batch) for batch in outcomes}
        assert statuses == {frozenset(["updated" if number else "created"]), frozenset(["unchanged"])}
    assert (Track.objects.count(), Artist.objects.count()) == (100, 7)
