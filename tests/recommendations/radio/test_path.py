"""A path between two tracks: from one artist to the other, without what may not be offered."""

from collections.abc import Callable

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from interactions.preferences.services import add_block
from recommendations.serving.model_cache import model_cache
from recommendations.version_store import version_store
from tests.conftest import assert_problem
from tests.people import store_interaction, store_track
from tests.recommendations.radio.conftest import World
from tracks.models import Track
from tracks.services import delete_from_catalogue, set_taken_down


def path_of(client: APIClient, start: Track, end: Track, length: int, query: str = "") -> list[int]:
    answer = client.get(f"/path?from={start.pk}&to={end.pk}&length={length}{query}")
    assert answer.status_code == 200, answer.content
    return [result["track_id"] for result in answer.json()["results"]]


def test_it_leads_from_one_track_to_the_other_in_small_steps(world: World, service: APIClient) -> None:
    answer = service.get("/path?from=external:Día:0&to=external:Night:0&length=8").json()
    results = answer["results"]
    assert answer["model_version"] == model_cache.current().bundle.version
    assert (results[0]["track_id"], results[-1]["track_id"]) == (world.day[0].pk, world.night[0].pk)
    assert [result["position"] for result in results] == [*range(1, 9)]
    assert len({result["track_id"] for result in results}) == 8
    artists = [result["artist_name"] for result in results]
    assert artists == sorted(artists)  # first all by Día, then all by Night
    distances = [result["distance"] for result in results]
    assert distances[0] is None
    assert answer["total_distance"] == pytest.approx(sum(distances[1:]), abs=1e-5)
    assert len(path_of(service, world.day[0], world.night[0], 100)) == 24
    assert path_of(service, world.day[0], world.night[0], 2) == [world.day[0].pk, world.night[0].pk]


@pytest.mark.parametrize("has_model", [True, False])
def test_what_may_not_be_offered_is_not_between_the_ends(
    has_model: bool, world: World, service: APIClient, as_listener: Callable[[User], APIClient]
) -> None:
    listener, day = world.listeners[0], world.day
    if not has_model:
        (version_store().root / "current.json").unlink()
        model_cache.reset()
    client = as_listener(listener)
    path_of(client, day[0], world.night[0], 5)  # so that lists are read before they change
    add_block(listener.pk, "track", day[1].pk, None)
    store_interaction(listener, day[2], "dislike", at=timezone.now())
    set_taken_down([day[3].pk], timezone.now())
    delete_from_catalogue(Track.objects.filter(pk=day[4].pk))
    left_out = {track.pk for track in day[1:5]}
    for tracks in (
        path_of(client, day[0], world.night[0], 100),
        path_of(service, day[0], world.night[0], 100, f"&user_id={listener.pk}"),
    ):
        assert (tracks[0], tracks[-1]) == (day[0].pk, world.night[0].pk)
        assert len(set(tracks)) == len(tracks) > 2
        assert not left_out & set(tracks)


def test_tracks_that_nobody_has_played_have_a_path_without_distances(world: World, service: APIClient) -> None:
    new = store_track(title="New", artist=world.day[0].artist)
    answer = service.get(f"/path?from={new.pk}&to={world.night[0].pk}&length=6").json()
    tracks = [result["track_id"] for result in answer["results"]]
    assert (tracks[0], tracks[-1], len(set(tracks))) == (new.pk, world.night[0].pk, 6)
    assert {result["distance"] for result in answer["results"]} == {answer["total_distance"]} == {None}


def test_wrong_requests_say_what_is_wrong(
    world: World, service: APIClient, as_listener: Callable[[User], APIClient], bob: User
) -> None:
    track, other = world.day[0].pk, world.night[0].pk
    for query, pointer, detail in (
        (f"to={other}", "?from", "This field is required."),
        (f"from={track}&to={other}&length=1", "?length", "must be an integer from 2 to 100"),
        (f"from={track}&to=external:Día:0", "?to", "is the same track as from; name two different ones"),
    ):
        assert assert_problem(service.get(f"/path?{query}"), 400)["errors"] == [{"pointer": pointer, "detail": detail}]
    for unknown in ("999999", "external:nothing"):
        for query in (f"from={track}&to={unknown}", f"from={unknown}&to={track}"):
            detail = assert_problem(service.get(f"/path?{query}"), 404)["detail"]
            assert detail.startswith(f"there is no track {unknown} in the catalogue; GET /search/tracks")
    assert_problem(as_listener(bob).get(f"/path?from={track}&to={other}&user_id={world.listeners[0].pk}"), 404)
