"""Sliders change the next answer and the next training, and nothing once they are removed."""

from typing import Any

import numpy as np
import pytest
from rest_framework.test import APIClient

from access.models import User
from engine.data.plays import Plays
from interactions.models import Slider
from interactions.training_data import iter_play_chunks
from recommendations.serving.model_cache import model_cache
from recommendations.serving.request_context import load_contexts
from recommendations.training.run import run_training
from tests.conftest import assert_problem
from tests.people import CatalogueFactory
from tracks.models import Artist, Tag, Track, TrackTag


@pytest.fixture
def tracks(catalogue: CatalogueFactory) -> list[Track]:
    """Return 40 tracks of 40 artists, of which even listeners play even ones and odd listeners odd ones."""
    _, tracks = catalogue.checkerboard(40)
    for track in tracks:
        track.artist = Artist.objects.create(name=f"Artist {track.pk}")
    Track.objects.bulk_update(tracks, ["artist"])
    return tracks


@pytest.fixture
def listener(tracks: list[Track], alice: User) -> User:
    CatalogueFactory.play(alice, *tracks[:12:2])
    return alice


def get_slate(service: APIClient, user: User) -> list[dict[str, Any]]:
    response = service.get(f"/recommend/user/{user.pk}/ml?limit=10&familiarity=0")
    assert response.status_code == 200
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def track_ids(results: list[dict[str, Any]]) -> list[int]:
    return [result["track_id"] for result in results]


def slide(service: APIClient, user: User, kind: str, target: Any, value: float) -> None:
    response = service.put(f"/users/{user.pk}/taste/sliders/{kind}/{target}", {"value": value}, format="json")
    assert response.status_code == 204, response.content


def test_more_and_less_of_an_artist_reach_the_next_answer_and_their_removal_the_one_after(
    service: APIClient, listener: User, tracks: list[Track]
) -> None:
    run_training("test")
    before = get_slate(service, listener)
    least = tracks[-1]  # nobody like the listener plays it
    assert least.pk not in track_ids(before)
    slide(service, listener, "artist", least.artist_id, 1)
    assert least.pk in track_ids(get_slate(service, listener))
    assert service.delete(f"/users/{listener.pk}/taste/sliders/artist/{least.artist_id}").status_code == 204
    assert [r | {"position": 0} for r in get_slate(service, listener)] == [r | {"position": 0} for r in before]
    best = before[0]
    slide(service, listener, "artist", best["artist_id"], -1)
    assert best["track_id"] not in track_ids(get_slate(service, listener))[:5]
    service.put(f"/users/{listener.pk}/blocks/artist/{least.artist_id}")
    slide(service, listener, "artist", least.artist_id, 1)
    assert least.pk not in track_ids(get_slate(service, listener))


def test_training_weights_the_plays_and_the_stored_vector_is_used_while_the_sliders_are_the_same(
    service: APIClient, listener: User, tracks: list[Track]
) -> None:
    tag = Tag.objects.create(name="folk", kind="genre")
    TrackTag.objects.bulk_create(TrackTag(track=track, tag=tag) for track in tracks[:4])
    plain = Plays.concatenate(iter_play_chunks())
    slide(service, listener, "tag", tag.pk, -0.5)
    slide(service, listener, "artist", tracks[0].artist_id, 1)
    plays = Plays.concatenate(iter_play_chunks())
    weights = dict(
        zip(plays.track[plays.user == listener.pk].tolist(), plays.weight[plays.user == listener.pk], strict=True)
    )
    assert weights == {track.pk: 1.0 for track in tracks[:12:2]} | {tracks[0].pk: 2.0, tracks[2].pk: 0.5}
    assert (plays.weight[plays.user != listener.pk] == 1).all()
    assert plays.fingerprint() != plain.fingerprint()

    run_training("test")

    def is_stored() -> bool:
        history = load_contexts([listener.pk])[listener.pk].history
        stamp = (history.interactions, history.newest, history.checksum)
        return model_cache.current().bundle.user_row(listener.pk, stamp) is not None

    assert is_stored()
    slide(service, listener, "tag", tag.pk, -0.6)
    assert not is_stored()
    slide(service, listener, "tag", tag.pk, -0.5)
    assert is_stored()
    Slider.objects.all().delete()
    np.testing.assert_array_equal(Plays.concatenate(iter_play_chunks()).weight, plain.weight)


def test_what_is_no_slider_is_refused(service: APIClient, alice: User, catalogue: CatalogueFactory) -> None:
    artist = catalogue.artist.pk
    cases = [
        (f"artist/{artist}", {"value": 1.5}, 400),
        (f"artist/{artist}", {}, 400),
        (f"artist/{artist}", {"value": 0.5, "until": 1}, 400),
        ("artist/999999", {"value": 0.5}, 404),
        ("tag/999999", {"value": 0.5}, 404),
        ("tag/external:folk", {"value": 0.5}, 400),
    ]
    for path, body, status in cases:
        assert_problem(service.put(f"/users/{alice.pk}/taste/sliders/{path}", body, format="json"), status)
    assert not Slider.objects.exists()
