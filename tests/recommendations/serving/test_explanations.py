"""`explain=true`: why each track was picked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from rest_framework.test import APIClient

from access.models import User
from engine.bundle.model_bundle import ModelBundle, catalogue_bundle
from engine.data.plays import Plays, Signal
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import BlendWeights, ComponentConfig, EnsembleConfig
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from engine.pipeline import Pick, Ranking
from engine.retrieval.candidates import Query
from engine.training import train
from importers.records import TagRecord, TrackRecord
from interactions.training_data import iter_play_chunks
from recommendations.serving.explanations import explain_picks, explain_repeat
from recommendations.training.run import run_training
from tests.engine.factories import TWO_FACTORS, make_config
from tests.people import CatalogueFactory, store_interaction
from tracks.card_cache import track_card_cache
from tracks.features import load_content_features, load_track_features
from tracks.imports import import_tracks
from tracks.models import Artist, Tag, Track, TrackTag
from tracks.selectors import catalogue_revision
from tracks.services import bump_catalogue_revision

NOW = datetime(2026, 5, 20, 18, tzinfo=UTC)


@pytest.fixture
def artists_of_one_track(catalogue: CatalogueFactory) -> tuple[list[User], list[Track]]:
    """Return the checkerboard, in which each track has an artist of its own."""
    users, tracks = catalogue.checkerboard()
    artists = Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(len(tracks)))
    for track, artist in zip(tracks, artists, strict=True):
        track.artist = artist
    Track.objects.bulk_update(tracks, ["artist"])
    return users, tracks


@pytest.fixture
def checkerboard(artists_of_one_track: tuple[list[User], list[Track]]) -> tuple[list[User], list[Track]]:
    """Return the checkerboard with a version trained on it."""
    assert run_training("test").status == "Published"
    return artists_of_one_track


def explanations(client: APIClient, path: str) -> list[dict[str, Any]]:
    results = client.get(path).json()["results"]
    return [result["explanation"] for result in results]


def test_a_personal_pick_names_the_two_plays_that_contribute_most_with_their_shares(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    users, tracks = checkerboard
    [reason] = explanations(service, f"/recommend/user/{users[0].pk}/ml?limit=1&explain=true")
    first, second = reason["because_track_ids"]
    titles = {track.pk: track.title for track in tracks[2::2]}
    assert reason["text"] == f"Because you played {titles[first]} and {titles[second]}"
    assert (reason["kind"], reason["share"]) == ("plays", 1.0)
    assert [entry["track_id"] for entry in reason["because"]] == [first, second]
    # Nine plays of the same colour contribute alike.
    assert [entry["share"] for entry in reason["because"]] == pytest.approx([1 / 9] * 2, abs=0.02)


def test_an_artist_whom_the_listener_plays_often_is_named_once_instead_of_their_tracks(
    service: APIClient, catalogue: CatalogueFactory
) -> None:
    users, tracks = catalogue.checkerboard()
    assert run_training("test").status == "Published"
    first, second = explanations(service, f"/recommend/user/{users[0].pk}/ml?limit=2&explain=true")
    assert first["text"] == "Because you often play The Testers"
    assert second["text"].startswith("Because you played Song ")
    assert len(first["because"]) == 2
    assert set(first["because_track_ids"]) <= {track.pk for track in tracks[2::2]}


def test_popularity_is_named_first_where_it_contributes_more_than_the_plays(
    service: APIClient, catalogue: CatalogueFactory, artists_of_one_track: tuple[list[User], list[Track]]
) -> None:
    users, _ = artists_of_one_track
    hit = catalogue.tracks(1)[0]
    for user in users[:15]:
        catalogue.play(user, hit)
    parts = (ComponentConfig(Popularity()), ComponentConfig(RP3Beta()))
    run_training("test", force=True, ensemble=EnsembleConfig(parts, BlendWeights((0.9, 0.1), (0.9, 0.1))))
    first, *_, last = explanations(service, f"/recommend/user/{users[16].pk}/ml?limit=2&explain=true")
    assert first["kind"] == "popular"
    assert first["text"].startswith("Popular with 15 listeners, and because you played Song ")
    assert len(first["because"]) == 2
    assert first["share"] + sum(entry["share"] for entry in first["because"]) <= 1
    assert (last["kind"], last["share"]) == ("plays", 1.0)


def test_popularity_alone_is_named_where_the_plays_say_nothing_for_a_track(
    service: APIClient, catalogue: CatalogueFactory, artists_of_one_track: tuple[list[User], list[Track]]
) -> None:
    """Nobody who plays the hit plays anything else."""
    users, _ = artists_of_one_track
    hit = catalogue.tracks(1)[0]
    for n in range(15):
        catalogue.play(User.objects.create_user(f"fan-{n}"), hit)
    parts = (ComponentConfig(Popularity()), ComponentConfig(RP3Beta()))
    run_training("test", force=True, ensemble=EnsembleConfig(parts, BlendWeights((0.9, 0.1), (0.9, 0.1))))
    first = explanations(service, f"/recommend/user/{users[16].pk}/ml?limit=1&explain=true")[0]
    assert first == {
        "text": "Popular with 15 listeners",
        "kind": "popular",
        "because_track_ids": [],
        "because": [],
        "share": 1.0,
    }


def test_a_liked_track_that_was_never_played_is_named_as_one_that_the_listener_likes(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    _, tracks = checkerboard
    newcomer = User.objects.create_user("newcomer")
    for track in (tracks[2], tracks[4]):
        store_interaction(newcomer, track, "like")
    path = f"/recommend/user/{newcomer.pk}/ml?limit=1&explain=true"
    assert explanations(service, path)[0]["text"] in {
        "Because you like Song 2 and Song 4",
        "Because you like Song 4 and Song 2",
        "Popular with 9 listeners, and because you like Song 2 and Song 4",
        "Popular with 9 listeners, and because you like Song 4 and Song 2",
    }


def test_popular_similar_and_pseudo_random_tracks_say_so(
    service: APIClient, catalogue: CatalogueFactory, checkerboard: tuple[list[User], list[Track]]
) -> None:
    track = checkerboard[1][4]
    catalogue.tracks(1)
    bump_catalogue_revision()
    popular, *_, unplayed = explanations(service, "/recommend/user/999/ml?limit=21&explain=true")
    nothing: dict[str, Any] = {"because_track_ids": [], "because": []}
    assert popular == nothing | {"text": "Popular with 9 listeners", "kind": "popular", "share": 1.0}
    assert unplayed == nothing | {"text": "Something different from the catalogue", "kind": "random", "share": None}
    assert explanations(service, f"/recommend/similar/{track.pk}?limit=1&explain=true") == [
        {
            "text": "Played by the same listeners",
            "kind": "similar",
            "because_track_ids": [track.pk],
            "because": [{"track_id": track.pk, "share": 1.0}],
            "share": 1.0,
        }
    ]


def test_tracks_by_content_say_what_they_share(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    tags = [TagRecord(name, "genre", weight) for name, weight in (("folk", 1), ("dream pop", 3), ("shoegaze", 2))]
    import_tracks(
        [
            TrackRecord("x:0", "Asked", "Newcomer", "x:a", album="First", album_id="x:l", tags=tuple(tags)),
            TrackRecord("x:1", "Album", "Newcomer", "x:a", album="First", album_id="x:l"),
            TrackRecord("x:2", "Artist", "Newcomer", "x:a", tags=(tags[0],)),
            TrackRecord("x:3", "Tags", "Somebody", "x:b", tags=tuple(tags)),
            TrackRecord("x:4", "Tag", "Somebody", "x:b", tags=(tags[0],)),
        ]
    )
    asked = Track.objects.get(external_id="x:0")
    results = service.get(f"/recommend/similar/{asked.pk}?limit=4&explain=true").json()["results"]
    assert {result["title"]: result["explanation"]["text"] for result in results} == {
        "Album": "From the same album as Asked",
        "Artist": "By the same artist as Asked",
        "Tags": "Shares the tags dream pop and shoegaze with Asked",
        "Tag": "Shares the tag folk with Asked",
    }
    assert {result["explanation"]["kind"] for result in results} == {"content"}
    assert results[0]["explanation"]["because"] == [{"track_id": asked.pk, "share": 1.0}]


def explain_pick(bundle: ModelBundle, track: Track, source: str, history: UserItemPairs) -> dict[str, Any]:
    revision = catalogue_revision()
    cards = track_card_cache.get_cards([track.pk], revision)
    pick = Pick(track_id=track.pk, score=1.0, source=source)
    return explain_picks(bundle, Query(1, history=history), Ranking([pick]), cards, revision)[track.pk]


def history_of(*tracks: Track) -> UserItemPairs:
    return UserItemPairs.from_listener(Plays.from_rows((0, track.pk, 1, True, 1_700_000_000) for track in tracks))


def test_a_new_track_names_the_own_track_that_it_shares_most_with(
    service: APIClient, artists_of_one_track: tuple[list[User], list[Track]]
) -> None:
    """Tracks of even numbers are folk and those of odd ones dub, so that their content tells their listeners."""
    _, tracks = artists_of_one_track
    tags = [Tag.objects.create(name=name, kind="genre") for name in ("folk", "dub")]
    new = Track.objects.create(title="New", artist=Artist.objects.create(name="Newcomer"))
    for number, track in enumerate([*tracks, new]):
        TrackTag.objects.create(track=track, tag=tags[number % 2])
    plays = Plays.concatenate(list(iter_play_chunks()))
    content = load_content_features(np.array(sorted([*(track.pk for track in tracks), new.pk])))
    bundle = train(plays, content.track_ids, make_config(TWO_FACTORS), version="v1", content=content).bundle
    reason = explain_pick(bundle, new, "content", history_of(tracks[1], tracks[4], tracks[7]))
    assert reason == {
        "text": "Shares the tag folk with Song 4",
        "kind": "content",
        "because_track_ids": [tracks[4].pk],
        "because": [{"track_id": tracks[4].pk, "share": pytest.approx(0.8, abs=0.2)}],
        "share": 1.0,
    }
    assert explain_pick(bundle, new, "personal", history_of(tracks[4])) == reason | {
        "because": [{"track_id": tracks[4].pk, "share": 1.0}]
    }


@pytest.mark.parametrize(("similarity", "kind"), [("cf", "similar"), ("hybrid", "similar"), ("content", "content")])
def test_similar_tracks_name_what_makes_them_similar(
    artists_of_one_track: tuple[list[User], list[Track]], similarity: str, kind: str
) -> None:
    """Of a track that nobody has played, plays say nothing."""
    _, tracks = artists_of_one_track
    folk = Tag.objects.create(name="folk", kind="genre")
    new = Track.objects.create(title="New", artist=Artist.objects.create(name="Newcomer"))
    TrackTag.objects.bulk_create(TrackTag(track=track, tag=folk) for track in [*tracks, new])
    content = load_content_features(np.array(sorted([*(track.pk for track in tracks), new.pk])))
    plays = Plays.concatenate(list(iter_play_chunks()))
    bundle = train(plays, content.track_ids, make_config(TWO_FACTORS), version="v1", content=content).bundle
    query, revision = Query(1, track_id=tracks[0].pk, similarity=similarity), catalogue_revision()
    cards = track_card_cache.get_cards([tracks[1].pk, new.pk], revision)
    picks = [Pick(track_id=track.pk, score=1.0, source="similar") for track in (tracks[1], new)]
    reasons = explain_picks(bundle, query, Ranking(picks), cards, revision)
    assert [reasons[pick.track_id]["kind"] for pick in picks] == [kind, "content"]
    assert reasons[new.pk]["text"] == "Shares the tag folk with Song 0"


@pytest.mark.parametrize(
    ("days", "text"),
    [(0, "Released today"), (1, "Released 1 day ago"), (30, "Released 30 days ago"), (None, "New in the catalogue")],
)
def test_a_new_release_names_its_artist_if_the_listener_plays_them_and_else_its_age(
    catalogue: CatalogueFactory, days: int | None, text: str
) -> None:
    released_on = None if days is None else datetime.now(UTC).date() - timedelta(days=days)
    (played,) = catalogue.tracks(1)
    (release,) = catalogue.tracks(1, released_on=released_on)
    track_ids = np.array([played.pk, release.pk])
    bundle = catalogue_bundle(track_ids, features=load_track_features(track_ids))
    reason: dict[str, Any] = {"kind": "new_release", "because_track_ids": [], "because": [], "share": None}
    own = explain_pick(bundle, release, "new_releases", history_of(played))
    assert own == reason | {"text": "New from The Testers, whom you play"}
    assert explain_pick(bundle, release, "new_releases", UserItemPairs.empty()) == reason | {"text": text}


def test_a_trending_track_says_so(catalogue: CatalogueFactory) -> None:
    (track,) = catalogue.tracks(1)
    reason = explain_pick(catalogue_bundle([track.pk]), track, "trending", UserItemPairs.empty())
    assert (reason["kind"], reason["text"]) == ("trending", "Played by more listeners than usual this week")


def test_a_track_that_the_listener_knows_says_how_often_they_played_it(
    service: APIClient, catalogue: CatalogueFactory, checkerboard: tuple[list[User], list[Track]]
) -> None:
    users, tracks = checkerboard
    days_ago = datetime.now(UTC) - timedelta(days=3, hours=1)
    catalogue.play(users[0], tracks[6], tracks[6], at=days_ago)
    path = f"/recommend/user/{users[0].pk}/ml?limit=20&explain=true&exclude_played=false"
    results = {result["track_id"]: result["explanation"] for result in service.get(path).json()["results"]}
    assert results[tracks[6].pk] == {
        "text": "You played this 3 times, last 3 days ago",
        "kind": "repeat",
        "because_track_ids": [],
        "because": [],
        "share": None,
    }


@pytest.mark.parametrize(
    ("plays", "age", "text"),
    [
        (1, timedelta(hours=2), "You played this once, less than a day ago"),
        (2, timedelta(days=1, hours=1), "You played this twice, last 1 day ago"),
        (14, timedelta(days=30), "You played this 14 times, last 30 days ago"),
        (14, timedelta(days=70), "You played this 14 times, last in March"),
        (1_400, timedelta(days=300), "You played this 1,400 times, last in July 2025"),
        (3, timedelta(days=-1), "You played this 3 times, last less than a day ago"),
    ],
)
def test_the_last_play_is_named_by_days_then_by_month(plays: int, age: timedelta, text: str) -> None:
    history = UserItemPairs.from_listener(Plays.from_rows([(0, 7, plays, True, int((NOW - age).timestamp()))]))
    assert explain_repeat(history, 0, NOW).text == text


@pytest.mark.parametrize(
    ("signals", "text"),
    [
        ([Signal.LIKE], "You liked this"),
        ([Signal.SHARE], "You shared this"),
        ([Signal.ADD], "You added this to a playlist"),
        ([Signal.PLAY, Signal.LIKE], "You played this once"),
    ],
)
def test_without_a_time_of_the_last_play_none_is_named(signals: list[Signal], text: str) -> None:
    plays = Plays.from_rows((0, 7, 1, True, n) for n in range(len(signals)))
    history = UserItemPairs.from_listener(
        Plays(plays.user, plays.track, plays.count, plays.qualified, plays.time, np.array(signals, np.int8))
    )
    assert explain_repeat(history, 0, NOW).text == text
