"""The export of all data about a listener."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from rest_framework.test import APIClient

from access.models import ListenToken, User
from interactions.models import Interaction
from privacy import export as exporting
from recommendations.training.run import run_training
from recommendations.version_store import version_in_service, version_store
from tests.listener_rows import create_rows_about, listener_foreign_keys
from tests.people import NOON, CatalogueFactory


def get_export(api: APIClient, user_id: object = "me") -> dict[str, Any]:
    response = api.get(f"/users/{user_id}/export")
    assert response.status_code == 200
    assert response.streaming
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "no-store"
    body: dict[str, Any] = json.loads(b"".join(response.streaming_content))  # type: ignore[attr-defined]
    return body


def test_the_export_contains_the_rows_of_every_table_related_to_listeners(
    alice: User, bob: User, catalogue: CatalogueFactory, service: APIClient
) -> None:
    expected = create_rows_about(alice, catalogue)
    create_rows_about(bob, catalogue)
    exported = get_export(service, alice.pk)["tables"]
    assert exported.keys() == expected
    tables_with_two_rows = {"django_admin_log"}  # one row as the operator, one as the account that was changed
    assert {table: len(rows) for table, rows in exported.items()} == {
        table: 1 + (table in tables_with_two_rows) for table in expected
    }
    for model, field in listener_foreign_keys():
        rows = exported[model._meta.db_table]
        assert alice.pk in {row[field.attname] for row in rows}
        if model._meta.db_table != "django_admin_log":  # it also has rows of operators about the listener
            assert {row[field.attname] for row in rows} == {alice.pk}


def test_the_export_contains_the_account_without_credentials(
    alice: User, as_listener: Callable[[User], APIClient]
) -> None:
    User.objects.filter(pk=alice.pk).update(password=make_password("secret"), external_id="x:1", market="DE")
    ListenToken.objects.create(user=alice, prefix="abcd", digest="f" * 64)
    exported = get_export(as_listener(alice))
    account = exported["listener"]
    assert (account["id"], account["username"], account["external_id"], account["market"]) == (
        alice.pk,
        "alice",
        "x:1",
        "DE",
    )
    assert account.keys() == {f.attname for f in User._meta.concrete_fields} - {"password"}
    assert exported["tables"]["listen_tokens"][0]["prefix"] == "abcd"
    assert "f" * 64 not in json.dumps(exported)
    assert "md5$" not in json.dumps(exported)


def test_the_export_names_title_and_artist_of_tracks(
    alice: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    tracks = catalogue.tracks(2)
    catalogue.play(alice, *tracks)
    alice.blocks.create(kind="track", target_id=tracks[1].pk)
    alice.slates.create(id="6f1c2a34-0000-4000-8000-000000000002", track_ids=[tracks[0].pk, 10**9], shown_at=NOON)
    exported = get_export(as_listener(alice))["tables"]
    first, second = exported["interactions"]
    assert (first["track_title"], first["track_artist"]) == ("Song 0", "The Testers")
    assert first["played_at"] == "2026-03-01T12:00:00Z"
    assert second["track_title"] == "Song 1"
    assert exported["blocks"][0]["tracks"] == [{"track_id": tracks[1].pk, "title": "Song 1", "artist": "The Testers"}]
    assert exported["slates"][0]["tracks"] == [
        {"track_id": tracks[0].pk, "title": "Song 0", "artist": "The Testers"},
        {"track_id": 10**9, "title": None, "artist": None},
    ]


def test_the_export_contains_the_models_data(catalogue: CatalogueFactory, service: APIClient, alice: User) -> None:
    users, _ = catalogue.checkerboard()
    run_training("test")
    bundle = version_store().load(str(version_in_service()))
    row = bundle.users.row(users[3].pk)
    exported = get_export(service, users[3].pk)
    vector = bundle.user_factors[row].tolist()
    seen, newest = bundle.user_stamps[row, :2].tolist()
    assert exported["model"] == {"version": bundle.version, "interactions": seen, "newest": newest, "vector": vector}
    assert exported["tables"]["user_features"][0]["embedding"] == vector
    assert get_export(service, alice.pk)["model"] is None


@pytest.mark.parametrize("rows", [0, 1, 4, 5, 9])
def test_the_export_is_complete_for_any_number_of_rows(
    rows: int, alice: User, catalogue: CatalogueFactory, service: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "CHUNK_ROWS", 4)
    catalogue.play(alice, *catalogue.tracks(rows))
    plays = get_export(service, alice.pk)["tables"]["interactions"]
    assert [play["id"] for play in plays] == list(Interaction.objects.order_by("pk").values_list("pk", flat=True))
