"""Recommended artists and genres, and similar artists, over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from experiments.exposures.log import slate_log
from experiments.models import Slate
from interactions.preferences.services import add_block
from recommendations.serving.model_cache import model_cache
from recommendations.version_store import version_store
from tests.conftest import assert_problem
from tests.people import CatalogueFactory, store_interaction, store_track
from tests.recommendations.discovery.conftest import Stage
from tracks.models import Artist, Track, TrackTag
from tracks.services import bump_catalogue_revision, delete_from_catalogue, save_artist, set_taken_down

Listeners = Callable[[User], APIClient]


def get(client: APIClient, path: str, **parameters: Any) -> dict[str, Any]:
    answer = client.get(path, parameters)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    assert [result["position"] for result in body["results"]] == [*range(1, len(body["results"]) + 1)]
    scores = [result["score"] for result in body["results"]]
    assert scores == sorted(scores, reverse=True)
    return body


def artists_of(answer: dict[str, Any]) -> list[int]:
    return [int(result["name"].removeprefix("Artist ")) for result in answer["results"]]


def serve_without_model() -> None:
    model_cache.reset()
    (version_store().root / "current.json").unlink()


class TestArtists:
    def test_new_artists_of_the_listeners_taste_come_first(self, stage: Stage, service: APIClient) -> None:
        answer = get(service, f"/users/{stage.new.pk}/artists")
        assert answer.keys() == {"generated_at", "model_version", "degraded", "fallback_reason", "policy", "results"}
        assert (answer["degraded"], answer["fallback_reason"]) == (False, None)
        assert {*artists_of(answer)[:2]} == {4, 6}
        assert sorted(artists_of(answer)) == [1, 3, 4, 5, 6, 7]  # 0 and 2 are known
        first = answer["results"][0]
        artist = stage.artists[artists_of(answer)[0]]
        facts = {"artist_id": artist.pk, "name": artist.name, "external_id": artist.external_id, "mbid": None}
        facts |= {"known": False, "position": 1}
        assert {name: first[name] for name in facts} == facts
        assert first.keys() == facts.keys() | {"score", "explanation", "tracks"}
        assert {track["artist_id"] for track in first["tracks"]} == {artist.pk}
        assert len({track["track_id"] for track in first["tracks"]}) == 3
        assert first["explanation"]["kind"] in ("plays", "popular")
        assert first["explanation"]["because_track_ids"]

    def test_known_artists_are_shown_on_request(self, stage: Stage, service: APIClient) -> None:
        answer = get(service, f"/users/external:{stage.new.external_id}/artists", exclude_known="false")
        assert {r["name"] for r in answer["results"] if r["known"]} == {"Artist 0", "Artist 2"}
        assert len(answer["results"]) == 8
        assert set(artists_of(answer)[:4]) == {0, 2, 4, 6}

    def test_limit_and_token(self, stage: Stage, service: APIClient, as_listener: Listeners) -> None:
        own = get(as_listener(stage.new), "/users/me/artists", limit=2)
        assert own["results"] == get(service, f"/users/{stage.new.pk}/artists")["results"][:2]
        assert_problem(as_listener(stage.even[0]).get(f"/users/{stage.new.pk}/artists"), 404)

    def test_an_artist_whose_tracks_came_after_training_appears(
        self, stage: Stage, service: APIClient, catalogue: CatalogueFactory
    ) -> None:
        debut = Artist(name="Artist 99")
        save_artist(debut)
        tracks = [store_track(title=f"Debut {n}", artist=debut) for n in range(3)]
        TrackTag.objects.bulk_create(TrackTag(track=track, tag=stage.jazz) for track in tracks)
        bump_catalogue_revision()
        answer = get(service, f"/users/{stage.new.pk}/artists")
        [debut_result] = [result for result in answer["results"] if result["artist_id"] == debut.pk]
        assert debut_result["explanation"]["kind"] in ("content", "new_release")
        assert 99 in artists_of(answer)[:4]  # it shares the genre

    def test_without_plays_or_consent_popular_artists_come_first(self, stage: Stage, service: APIClient) -> None:
        for number in range(6):
            CatalogueFactory.play(User.objects.create_user(f"fan {number}"), *stage.tracks[5])
        for user, reason in ((999_999, "cold_user"), (stage.new.pk, "no_consent")):
            User.objects.filter(pk=user).update(consent=False)
            answer = get(service, f"/users/{user}/artists")
            assert (answer["fallback_reason"], len(answer["results"]), answer["policy"]) == (reason, 8, "popular")
            assert {result["known"] for result in answer["results"]} == {False}
            assert {result["explanation"]["kind"] for result in answer["results"]} == {"popular"}

    def test_without_a_model(self, stage: Stage, service: APIClient) -> None:
        serve_without_model()
        answer = get(service, f"/users/{stage.new.pk}/artists")
        assert (answer["degraded"], answer["fallback_reason"]) == (True, "no_model")
        assert sorted(artists_of(answer)) == [1, 3, 4, 5, 6, 7]

    @pytest.mark.parametrize("has_model", [True, False])
    def test_blocked_artists_and_those_without_a_track_to_offer_are_never_shown(
        self, has_model: bool, stage: Stage, service: APIClient
    ) -> None:
        if not has_model:
            serve_without_model()
        get(service, f"/users/{stage.new.pk}/artists")  # the lists of unavailable tracks are read
        add_block(stage.new.pk, "artist", stage.artists[4].pk, None)
        set_taken_down([track.pk for track in stage.tracks[6]], timezone.now())
        for track in stage.tracks[1]:
            store_interaction(stage.new, track, "dislike", at=timezone.now())
        delete_from_catalogue(Track.objects.filter(artist=stage.artists[3]))
        Track.objects.filter(pk=stage.tracks[5][0].pk).update(taken_down_at=timezone.now())  # by SQL
        answer = get(service, f"/users/{stage.new.pk}/artists")
        assert sorted(artists_of(answer)) == [5, 7]
        of_five = next(result for result in answer["results"] if result["name"] == "Artist 5")
        assert {track["track_id"] for track in of_five["tracks"]} == {track.pk for track in stage.tracks[5][1:]}
        add_block(stage.new.pk, "genre", stage.rock.pk, None)
        assert get(service, f"/users/{stage.new.pk}/artists")["results"] == []

    def test_an_unchanged_answer_comes_from_the_cache_and_is_a_304(self, stage: Stage, service: APIClient) -> None:
        path = f"/users/{stage.new.pk}/artists"
        first = service.get(path)
        with CaptureQueriesContext(connection) as queries:
            second = service.get(path)
        assert (first.content, len(queries)) == (second.content, 1)
        assert service.get(path, headers={"If-None-Match": first["ETag"]}).status_code == 304
        store_interaction(stage.new, stage.tracks[4][0], "play", at=timezone.now())
        assert 4 not in artists_of(get(service, path))

    def test_a_new_answer_costs_few_queries_and_no_slate_is_logged(self, stage: Stage, service: APIClient) -> None:
        get(service, f"/users/{stage.even[0].pk}/artists")
        with CaptureQueriesContext(connection) as queries:
            get(service, f"/users/{stage.new.pk}/artists")
        assert len(queries) <= 4  # context, artists, cards of tracks that were not shown before, tags of reasons
        slate_log.flush()
        assert not Slate.objects.exists()


class TestGenres:
    def test_genres_of_the_taste_come_first(self, stage: Stage, service: APIClient) -> None:
        answer = get(service, f"/users/{stage.new.pk}/genres")
        assert [result["name"] for result in answer["results"]] == ["Jazz", "Rock"]
        jazz = answer["results"][0]
        assert jazz.keys() == {"tag_id", "name", "tracks_path", "score", "explanation", "tracks", "position"}
        assert (jazz["tag_id"], jazz["tracks_path"]) == (stage.jazz.pk, f"/recommend/genre/{stage.jazz.pk}")
        of_genre = {track.pk for tracks in stage.tracks[::2] for track in tracks}
        assert {track["track_id"] for track in jazz["tracks"]} <= of_genre
        assert len(jazz["tracks"]) == 3
        assert service.get(jazz["tracks_path"]).status_code == 200
        assert get(service, f"/users/{stage.new.pk}/genres", limit=1)["results"] == answer["results"][:1]

    def test_a_blocked_genre_is_never_shown(self, stage: Stage, service: APIClient) -> None:
        add_block(stage.new.pk, "genre", stage.jazz.pk, None)
        answer = get(service, f"/users/{stage.new.pk}/genres")
        assert [result["name"] for result in answer["results"]] == ["Rock"]

    def test_a_catalogue_without_genres_has_none(self, catalogue: CatalogueFactory, service: APIClient) -> None:
        catalogue.tracks(3)
        assert get(service, "/users/1/genres")["results"] == []

    def test_another_listeners_token_gets_a_404(self, stage: Stage, as_listener: Listeners) -> None:
        assert_problem(as_listener(stage.even[0]).get(f"/users/{stage.new.pk}/genres"), 404)


class TestSimilarArtists:
    def test_artists_of_the_same_listeners_come_first(self, stage: Stage, service: APIClient) -> None:
        answer = get(service, f"/artists/{stage.artists[0].pk}/similar")
        assert answer.keys() == {"generated_at", "model_version", "degraded", "results"}
        assert set(artists_of(answer)[:3]) == {2, 4, 6}
        assert 0 not in artists_of(answer)
        first = answer["results"][0]
        assert first.keys() == {"artist_id", "name", "external_id", "mbid", "score", "tracks", "position"}
        assert {track["artist_id"] for track in first["tracks"]} == {first["artist_id"]}
        by_external_id = get(service, "/artists/external:a:0/similar", limit=2)
        assert by_external_id["results"] == answer["results"][:2]

    def test_players_get_the_same_artists(self, stage: Stage, service: APIClient) -> None:
        own = get(service, f"/artists/{stage.artists[3].pk}/similar")["results"]
        of_player = service.get("/api/similar_artists?artist=Artist 3").json()
        assert [(artist["artist"], artist["divergence"]) for artist in of_player] == [
            (artist["name"], pytest.approx(1 - artist["score"], abs=2e-6)) for artist in own
        ]

    def test_blocks_dislikes_markets_and_explicit_tracks_apply(
        self, stage: Stage, service: APIClient, as_listener: Listeners
    ) -> None:
        add_block(stage.new.pk, "artist", stage.artists[2].pk, None)
        for track in stage.tracks[4]:
            store_interaction(stage.new, track, "dislike", at=timezone.now())
        Track.objects.filter(artist=stage.artists[6]).update(explicit=True)
        Track.objects.filter(artist=stage.artists[1]).update(markets="FR")
        bump_catalogue_revision()
        path = f"/artists/{stage.artists[0].pk}/similar"
        assert {2, 4, 6} <= set(artists_of(get(service, path)))
        for client, named in ((service, {"user_id": stage.new.pk}), (as_listener(stage.new), {})):
            answer = get(client, path, explicit="false", market="DE", **named)
            assert not {1, 2, 4, 6} & set(artists_of(answer))
        assert_problem(as_listener(stage.even[0]).get(f"{path}?user_id={stage.new.pk}"), 404)

    def test_an_unknown_artist_is_a_404_and_one_without_tracks_has_no_similar_ones(
        self, stage: Stage, service: APIClient
    ) -> None:
        for reference in ("999999", "external:nobody"):
            assert_problem(service.get(f"/artists/{reference}/similar"), 404)
        silent = Artist.objects.create(name="Artist 50")
        assert get(service, f"/artists/{silent.pk}/similar")["results"] == []


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/users/1/artists?limit=101", "?limit"),
        ("/users/1/artists?exclude_known=maybe", "?exclude_known"),
        ("/users/1/genres?exclude_known=true", "?exclude_known"),
        ("/users/1/genres?market=Germany", "?market"),
        ("/users/x/artists", "{user_id}"),
        ("/users/me/genres", "{user_id}"),
        ("/artists/1/similar?limit=0", "?limit"),
        ("/artists/1/similar?kind=cf", "?kind"),
    ],
)
def test_what_is_wrong_is_refused_with_a_pointer(path: str, pointer: str, service: APIClient) -> None:
    assert [error["pointer"] for error in assert_problem(service.get(path), 400)["errors"]] == [pointer]
