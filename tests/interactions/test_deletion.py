"""Interactions that are deleted or moved to another listener stop counting with the next answer."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient

from access.models import User
from interactions.models import Interaction
from interactions.services import delete_interactions
from recommendations.training.run import run_training
from tests.people import NOON, CatalogueFactory, store_interaction
from tracks.models import Artist, Track

INTERACTIONS = "/admin/interactions/interaction/"
TRACKS = "/admin/tracks/track/"


@pytest.fixture
def ada(catalogue: CatalogueFactory) -> User:
    """Return a listener of a trained version who has played nine tracks."""
    catalogue.checkerboard()
    assert run_training("test").status == "Published"
    return User.objects.get(username="listener-0")


def get_answer(service: APIClient, user: User) -> dict[str, Any]:
    answer: dict[str, Any] = service.get(f"/recommend/user/{user.pk}/ml?limit=20").json()
    return answer


def ids_of(user: User) -> list[int]:
    return list(Interaction.objects.filter(user=user).values_list("pk", flat=True))


def delete_one_by_one(operator: Client, user: User) -> None:
    for pk in ids_of(user):
        assert operator.post(f"{INTERACTIONS}{pk}/delete/", {"post": "yes"}).status_code == 302


def delete_selected(operator: Client, user: User) -> None:
    form = {"action": "delete_selected", "_selected_action": ids_of(user), "post": "yes"}
    assert operator.post(INTERACTIONS, form).status_code == 302


def move_to_another_listener(operator: Client, user: User) -> None:
    other = User.objects.create_user("other")
    for interaction in Interaction.objects.filter(user=user):
        assert (
            operator.post(f"{INTERACTIONS}{interaction.pk}/change/", form_of(interaction, user=other.pk)).status_code
            == 302
        )


def delete_tracks_one_by_one(operator: Client, user: User) -> None:
    for pk in Track.objects.filter(interactions__user=user).values_list("pk", flat=True):
        assert operator.post(f"{TRACKS}{pk}/delete/", {"post": "yes"}).status_code == 302


def delete_selected_tracks(operator: Client, user: User) -> None:
    ids = list(Track.objects.filter(interactions__user=user).values_list("pk", flat=True))
    form = {"action": "delete_selected", "_selected_action": ids, "post": "yes"}
    assert operator.post(TRACKS, form).status_code == 302


def delete_their_artist(operator: Client, user: User) -> None:
    artist = Artist.objects.create(name="Of the played tracks")
    Track.objects.filter(interactions__user=user).update(artist=artist)
    assert operator.post(f"/admin/tracks/artist/{artist.pk}/delete/", {"post": "yes"}).status_code == 302


def delete_the_account(operator: Client, user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=True)  # of an operator, whose rows are deleted by the cascade
    assert operator.post(f"/admin/access/user/{user.pk}/delete/", {"post": "yes"}).status_code == 302


def form_of(interaction: Interaction, **changes: object) -> dict[str, object]:
    played_at = {"played_at_0": str(interaction.played_at.date()), "played_at_1": f"{interaction.played_at:%H:%M:%S}"}
    columns = ("user", "track", "kind", "plays", "milestone", "source", "event_id")
    values = {name: getattr(interaction, Interaction._meta.get_field(name).attname) for name in columns}
    return values | played_at | {"is_completed": "on"} | changes


DELETIONS: dict[str, Callable[[Client, User], object]] = {
    "in the admin, one by one": delete_one_by_one,
    "in the admin, selected": delete_selected,
    "moved to another listener in the admin": move_to_another_listener,
    "by the service": lambda operator, user: delete_interactions(
        Interaction.objects.filter(user__username=user.username)
    ),
    "with their tracks, one by one": delete_tracks_one_by_one,
    "with their tracks, selected": delete_selected_tracks,
    "with the artist of their tracks": delete_their_artist,
    "with the account": delete_the_account,
    "by an erasure": lambda operator, user: call_command("erase_listeners", str(user.pk)),
}


@pytest.mark.parametrize("deletion", DELETIONS)
def test_deleted_interactions_do_not_count_in_the_next_answer(
    deletion: str, ada: User, service: APIClient, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("privacy.erasure.GRACE_SECONDS", 0)
    before = get_answer(service, ada)
    assert (before["strategy"], before["fallback_reason"]) == ("personal", None)
    DELETIONS[deletion](admin_client, ada)
    assert not Interaction.objects.filter(user=ada.pk).exists()
    after = get_answer(service, ada)
    assert (after["strategy"], after["fallback_reason"]) == ("popular", "cold_user")
    assert {r["track_id"] for r in after["results"]} == set(Track.objects.values_list("pk", flat=True))


def test_the_listener_to_whom_an_interaction_is_moved_gets_a_new_answer(
    ada: User, alice: User, service: APIClient, admin_client: Client
) -> None:
    [disliked] = [Track.objects.order_by("pk")[0]]
    store_interaction(ada, disliked, "dislike", at=NOON + timedelta(days=1))
    assert disliked.pk in {r["track_id"] for r in get_answer(service, alice)["results"]}
    assert disliked.pk not in {r["track_id"] for r in get_answer(service, ada)["results"]}
    dislike = Interaction.objects.get(kind="dislike")
    assert admin_client.post(f"{INTERACTIONS}{dislike.pk}/change/", form_of(dislike, user=alice.pk)).status_code == 302
    assert disliked.pk not in {r["track_id"] for r in get_answer(service, alice)["results"]}
    assert disliked.pk in {r["track_id"] for r in get_answer(service, ada)["results"]}


@pytest.mark.parametrize("deletion", ["in the admin, one by one", "in the admin, selected", "by the service"])
def test_only_the_listeners_of_deleted_interactions_get_new_revisions(
    deletion: str, alice: User, bob: User, catalogue: CatalogueFactory, admin_client: Client
) -> None:
    tracks = catalogue.tracks(3)
    catalogue.play(alice, *tracks)
    catalogue.play(bob, *tracks)
    revisions = dict(User.objects.values_list("pk", "revision"))
    DELETIONS[deletion](admin_client, alice)
    changed = {pk for pk, revision in User.objects.values_list("pk", "revision") if revisions[pk] != revision}
    assert (changed, Interaction.objects.filter(user=bob).count()) == ({alice.pk}, 3)
