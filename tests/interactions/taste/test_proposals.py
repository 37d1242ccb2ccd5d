"""Proposals of what to leave out: the listener accepts them as exclusions, or declines them for good."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.models import User
from interactions.models import DeclinedProposal
from tests.people import NOON, CatalogueFactory, store_interaction
from tracks.models import Tag, Track, TrackTag

PROPOSALS = "/users/me/taste/proposals"


@pytest.fixture
def api(alice: User, as_listener: Callable[[User], APIClient]) -> APIClient:
    return as_listener(alice)


@pytest.fixture
def lullabies(alice: User, catalogue: CatalogueFactory) -> list[Track]:
    """Let alice play songs during the day, two lullabies in the evening, a playlist at 4 and a kitchen radio at 7."""
    first, second, *songs = catalogue.tracks(6)
    tag = Tag.objects.create(name="lullaby", kind="other")
    TrackTag.objects.bulk_create(TrackTag(track=track, tag=tag) for track in (first, second))
    for day in range(14):
        noon = NOON + timedelta(days=day)
        catalogue.play(alice, *songs, *songs, at=noon - timedelta(minutes=30))
        catalogue.play(alice, *songs, at=noon + timedelta(hours=5))
        store_interaction(alice, first if day % 2 else second, "play", at=noon + timedelta(hours=10))
        store_interaction(alice, songs[0], "play", at=noon - timedelta(hours=8), context="night shift")
        store_interaction(
            alice, songs[1], "play", at=noon - timedelta(hours=5), device="kitchen", session_id=f"k{day}" if day else ""
        )
    return [first, second]


def load(api: APIClient) -> dict[str, dict[str, Any]]:
    proposals = api.get(PROPOSALS).json()["proposals"]
    return {proposal["name"]: proposal for proposal in proposals}


def test_accepted_proposals_become_exclusions(alice: User, api: APIClient, lullabies: list[Track]) -> None:
    proposals = load(api)
    assert {name: (p["kind"], p["plays"], p["hour"]) for name, p in proposals.items()} == {
        "lullaby": ("tag", 14, 22),
        "night shift": ("playlist", 14, 4),
        "kitchen": ("device", 14, 7),
    }
    assert proposals["lullaby"]["text"] == "14 plays of lullaby around 22:00 UTC"
    tracks = [exclusion["track_id"] for exclusion in proposals["lullaby"]["exclusions"]]
    assert sorted(tracks) == sorted(track.pk for track in lullabies)
    assert proposals["night shift"]["exclusions"] == [{"kind": "playlist", "context": "night shift"}]
    assert proposals["kitchen"]["exclusions"][0] == {
        "kind": "period",
        "since": "2026-03-14T07:00:00Z",
        "until": "2026-03-14T07:00:01Z",
    }
    for accepted, proposal in enumerate(proposals.values(), 1):
        body = {"exclusions": proposal["exclusions"]}
        assert api.post("/users/me/taste/exclusions", body, format="json").status_code == 201
        assert alice.interactions.filter(left_out=True).count() == 14 * accepted
        assert len(load(api)) == 3 - accepted


def test_a_declined_proposal_is_not_made_again(alice: User, api: APIClient, lullabies: list[Track]) -> None:
    proposal_id = load(api)["lullaby"]["proposal_id"]
    for declined in (proposal_id, proposal_id, "0123456789abcdef"):
        assert api.delete(f"{PROPOSALS}/{declined}").status_code == 204
    assert set(load(api)) == {"night shift", "kitchen"}
    assert DeclinedProposal.objects.get().user_id == alice.pk
    assert not alice.interactions.filter(left_out=True).exists()
