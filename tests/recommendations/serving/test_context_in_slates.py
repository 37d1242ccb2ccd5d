"""The hour, the device and the activity count in personal slates once a policy asks and a training has learnt them."""

import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from rest_framework.test import APIClient

from access.models import User
from engine.data.confidence import DAY_SECONDS, HOUR_SECONDS
from engine.data.play_contexts import ACTIVITY, DEVICE, context_code
from engine.pipeline import POLICIES
from experiments.exposures.log import slate_log
from experiments.models import Slate
from interactions.bulk import NewInteraction, insert_interactions
from interactions.models import Interaction
from interactions.training_data import load_play_contexts
from recommendations.models import ModelArtifact
from recommendations.policies.in_use import load_policies_in_use
from recommendations.policies.services import save_policy, use_policy
from recommendations.serving.model_cache import model_cache
from recommendations.serving.recommend import assign_policy, dependencies_of
from recommendations.serving.request_context import RecommendationRequest, load_contexts
from recommendations.training.run import run_training
from tests.conftest import assert_problem
from tests.engine.context_world import (
    CONFIG,
    DAYS,
    LISTENERS,
    MONDAY,
    MORNING,
    SPEAKER,
    TRACK_IDS,
    kind_of,
    listening_world,
)
from tests.people import NOON, CatalogueFactory
from tracks.models import Artist, Track

WITH_CONTEXT = replace(POLICIES["personal"], dials=replace(POLICIES["personal"].dials, context=1.0))
TOO_LONG = "Ensure this field has no more than 64 characters."
NUMBER = 4  # of the listener who plays kind 0 in the morning or on the speaker, and kind 2 otherwise


def store_world(catalogue: CatalogueFactory, *, at_own_hours: bool) -> tuple[list[User], list[Track]]:
    """Store the plays of `listening_world`; its mornings were at the present hour of the last days."""
    tracks = catalogue.tracks(len(TRACK_IDS))
    artists = Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(len(tracks)))
    for track, artist in zip(tracks, artists, strict=True):
        track.artist = artist
    Track.objects.bulk_update(tracks, ["artist"])
    users = User.objects.bulk_create(User(username=f"listener-{n}") for n in range(LISTENERS))
    plays, contexts = listening_world(at_own_hours=at_own_hours)
    begin = int(time.time()) // HOUR_SECONDS * HOUR_SECONDS - DAYS * DAY_SECONDS - MORNING * HOUR_SECONDS
    rows = zip(plays.user.tolist(), plays.track.tolist(), plays.time.tolist(), contexts.device.tolist(), strict=True)
    insert_interactions(
        [
            NewInteraction(
                users[user - 1000].pk,
                tracks[track - TRACK_IDS[0]].pk,
                "play",
                datetime.fromtimestamp(at - MONDAY + begin, UTC),
                event_id=uuid.uuid4(),
                source="test",
                is_completed=True,
                device="speaker" if device == SPEAKER else "phone",
                context="jogging" if device == SPEAKER else "",
            )
            for user, track, at, device in rows
        ]
    )
    return users, tracks


@pytest.fixture
def in_use() -> None:
    save_policy(WITH_CONTEXT)
    use_policy("personal", 1)


def kinds(answer: Any, tracks: list[Track]) -> list[int]:
    number = {track.pk: TRACK_IDS[0] + n for n, track in enumerate(tracks)}
    return kind_of(np.array([number[pick["track_id"]] for pick in answer["results"]])).tolist()


def test_the_hour_of_the_request_decides_and_is_part_of_the_key_of_the_answer(
    service: APIClient, catalogue: CatalogueFactory, in_use: None
) -> None:
    users, tracks = store_world(catalogue, at_own_hours=True)
    assert run_training("test", ensemble=CONFIG.ensemble, policies=load_policies_in_use()).status == "Published"
    assert ModelArtifact.objects.get().manifest["context"]["kinds"]["hours"]["weight"] > 0
    path = f"/recommend/user/{users[NUMBER].pk}/ml?exclude_played=true&limit=3"
    assert kinds(service.get(path).json(), tracks) == [0, 0, 0]
    request = RecommendationRequest("personal", 3, users[NUMBER].pk, device="phone")
    context, model = load_contexts([users[NUMBER].pk])[users[NUMBER].pk], model_cache.current()
    before = int(time.time()) // HOUR_SECONDS
    *_, key = dependencies_of(request, model, assign_policy(request, context), context)
    assert key in {(hour, "phone", "") for hour in (before, int(time.time()) // HOUR_SECONDS)}
    use_policy("personal", 0)
    context = load_contexts([users[NUMBER].pk])[users[NUMBER].pk]
    *_, key = dependencies_of(request, model, assign_policy(request, context), context)
    assert key is None


def test_the_device_and_the_activity_of_a_request_count(
    service: APIClient, catalogue: CatalogueFactory, in_use: None
) -> None:
    users, tracks = store_world(catalogue, at_own_hours=False)
    assert run_training("test", ensemble=CONFIG.ensemble, policies=load_policies_in_use()).status == "Published"
    user = users[NUMBER]
    path = f"/recommend/user/{user.pk}/ml?exclude_played=true&limit=6"
    usual = service.get(path).json()
    on_speaker = service.get(f"{path}&device=speaker").json()
    assert kinds(on_speaker, tracks).count(0) > kinds(usual, tracks).count(0)
    assert on_speaker["policy"] == "personal@1"
    for unknown in ("device=fridge", "device=", "activity=reading"):
        assert service.get(f"{path}&{unknown}").json()["results"] == usual["results"]

    slate_log.flush()
    assert Slate.objects.get(pk=on_speaker["recommendation_id"]).request["device"] == "speaker"
    page = service.get(on_speaker["next"]).json()
    assert not {pick["track_id"] for pick in page["results"]} & {pick["track_id"] for pick in on_speaker["results"]}

    body = {"exclude_played": True, "limit": 6, "device": "speaker", "users": [user.pk]}
    [batch] = service.post("/recommend/batch", body, format="json").json()["answers"]
    assert batch["results"] == on_speaker["results"]
    User.objects.filter(pk=user.pk).update(consent=False)
    answer = service.get(f"/recommend/user/{user.pk}/ml?limit=3&device=speaker&activity=jogging").json()
    assert answer["fallback_reason"] == "no_consent"
    slate_log.flush()
    assert not {"device", "activity"} & Slate.objects.get(pk=answer["recommendation_id"]).request.keys()


def test_by_default_nothing_is_learnt_and_no_parameter_changes_anything(
    service: APIClient, catalogue: CatalogueFactory
) -> None:
    users, _ = catalogue.checkerboard()
    assert run_training("test", ensemble=CONFIG.ensemble, policies=load_policies_in_use()).status == "Published"
    assert ModelArtifact.objects.get().manifest["context"] is None
    path = f"/recommend/user/{users[0].pk}/ml"
    answer = service.get(path).json()
    for parameters in ("device=phone", "activity=jogging", "device=phone&activity=jogging"):
        assert service.get(f"{path}?{parameters}").json()["results"] == answer["results"]


@pytest.mark.parametrize("name", ["device", "activity"])
def test_names_of_contexts_have_at_most_64_characters(service: APIClient, alice: User, name: str) -> None:
    long = "x" * 65
    problem = assert_problem(service.get(f"/recommend/user/{alice.pk}/ml?{name}={long}"), 400)
    assert problem["errors"] == [{"pointer": f"?{name}", "detail": TOO_LONG}]
    problem = assert_problem(service.post("/recommend/batch", {"users": [alice.pk], name: long}, format="json"), 400)
    assert problem["errors"] == [{"pointer": f"#/{name}", "detail": TOO_LONG}]
    assert_problem(service.get(f"/recommend/user/{alice.pk}?{name}=phone"), 400)  # popular tracks have no context


def test_contexts_are_learnt_from_plays_that_may_teach(catalogue: CatalogueFactory, alice: User, bob: User) -> None:
    [track] = catalogue.tracks(1)
    User.objects.filter(pk=bob.pk).update(consent=False)
    catalogue.play(alice, track, device="phone")
    catalogue.play(alice, track, context="jogging", at=NOON.replace(hour=13))
    for options in ({"learn": False, "left_out": True}, {"is_skip": True}, {"kind": "like"}, {"plays": 3}):
        catalogue.play(alice, track, device="phone", **options)
    catalogue.play(alice, track)
    catalogue.play(bob, track, device="phone")
    contexts = load_play_contexts()
    rows = zip(contexts.user, contexts.track, contexts.time, contexts.device, contexts.activity, strict=True)
    noon = int(NOON.timestamp())
    assert [tuple(map(int, row)) for row in rows] == [
        (alice.pk, track.pk, noon + HOUR_SECONDS, 0, context_code(ACTIVITY, "jogging")),
        (alice.pk, track.pk, noon, context_code(DEVICE, "phone"), 0),
    ]
    Interaction.objects.all().delete()
    assert len(load_play_contexts()) == 0
