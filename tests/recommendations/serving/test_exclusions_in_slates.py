"""An exclusion changes the next answer, and the next training, to what they were without the plays; its undo back."""

from typing import Any

import numpy as np
import pytest
from rest_framework.test import APIClient

from access.models import User
from engine.data.plays import Plays
from engine.retrieval.candidates import GROUP_STRATEGIES
from interactions.models import Interaction
from interactions.selectors import blocks_in_force
from interactions.training_data import iter_play_chunks
from recommendations.training.run import run_training
from tests.people import NOON, CatalogueFactory
from tracks.models import Track


@pytest.fixture
def tracks(catalogue: CatalogueFactory) -> list[Track]:
    _, tracks = catalogue.checkerboard()
    return tracks


def play_both_halves(user: User, tracks: list[Track]) -> None:
    """Let a listener play four even tracks and, in the playlist of somebody else, four odd ones as often."""
    CatalogueFactory.play(user, *tracks[:8:2], session_id="own")
    CatalogueFactory.play(user, *tracks[1:8:2], context="kids")


def get_slate(service: APIClient, user: User) -> list[tuple[int, float, str]]:
    response = service.get(f"/recommend/user/{user.pk}/ml?limit=10")
    assert response.status_code == 200
    return [(pick["track_id"], pick["score"], pick["source"]) for pick in response.json()["results"]]


def training_input() -> str:
    return Plays.concatenate(iter_play_chunks()).fingerprint()


def exclude(service: APIClient, user: User, **target: Any) -> str:
    path = f"/users/{user.pk}/taste/exclusions"
    response = service.post(path, {"exclusions": [target]}, format="json")
    assert response.status_code == 201, response.content
    return f"{path}/{response.json()['exclusions'][0]['exclusion_id']}"


def test_the_answer_and_the_training_are_those_of_a_listener_without_the_plays(
    service: APIClient, alice: User, bob: User, tracks: list[Track]
) -> None:
    play_both_halves(alice, tracks)
    run_training("test")  # knows alice with all her plays, so that her vector is stored
    before, input_before = get_slate(service, alice), training_input()
    CatalogueFactory.play(bob, *tracks[:8:2])  # never played the others
    without = get_slate(service, bob)
    Interaction.objects.filter(user=bob).delete()

    undo = exclude(service, alice, kind="playlist", context="kids")
    assert get_slate(service, alice) == without != before
    learned = training_input()
    assert service.delete(undo).status_code == 204
    assert (get_slate(service, alice), training_input()) == (before, input_before)

    alice.interactions.filter(context="kids").delete()
    assert learned == training_input() != input_before


def test_an_excluded_track_is_never_offered(service: APIClient, alice: User, tracks: list[Track]) -> None:
    CatalogueFactory.play(alice, *tracks[:12:2])
    run_training("test")
    best = get_slate(service, alice)[0][0]
    undo = exclude(service, alice, kind="track", track_id=best)
    seeds = [{"kind": "taste"}, {"kind": "artist", "id": tracks[0].artist_id}]
    radio = service.post("/radio", {"seeds": seeds, "user_id": alice.pk}, format="json").json()
    paths = [
        f"/radio/{radio['radio_id']}/next?limit=50",
        f"/recommend/user/{alice.pk}/ml?limit=100&exclude_played=false",
        f"/recommend/user/{alice.pk}?limit=100",
        f"/recommend/similar/{tracks[0].pk}?limit=100&user_id={alice.pk}",
    ]
    for path in paths:
        offered = [pick["track_id"] for pick in service.get(path).json()["results"]]
        assert len(offered) > 10
        assert best not in offered
    group = {"listeners": [User.objects.get(username="listener-1").pk, alice.pk], "limit": 100, "exclude_played": False}
    for strategy in GROUP_STRATEGIES:
        answer = service.post("/recommend/group", group | {"strategy": strategy}, format="json").json()
        offered = [pick["track_id"] for pick in answer["results"]]
        assert len(offered) > 10
        assert best not in offered
    assert (alice.pk, "track", best) in list(blocks_in_force())
    service.delete(undo)
    assert get_slate(service, alice)[0][0] == best


def test_leaving_out_other_plays_than_the_model_has_seen_is_noticed(
    service: APIClient, alice: User, tracks: list[Track]
) -> None:
    """Both histories have four plays and end at the same time, but they are of different tracks."""
    play_both_halves(alice, tracks)
    CatalogueFactory.play(alice, tracks[8], at=NOON.replace(year=NOON.year + 1))
    undo = exclude(service, alice, kind="playlist", context="kids")
    run_training("test")
    seen = get_slate(service, alice)
    service.delete(undo)
    exclude(service, alice, kind="session", session_id="own")
    assert get_slate(service, alice) != seen
    [chunk] = iter_play_chunks()
    own = chunk.track[chunk.user == alice.pk]
    assert np.sort(own).tolist() == [track.pk for track in (*tracks[1:8:2], tracks[8])]
