"""An erased listener is in no table, and is not recreated."""

import uuid
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.db.models import Model
from django_celery_beat.models import PeriodicTask
from filelock import FileLock
from rest_framework.test import APIClient

from access.models import Erasure, User
from access.selectors import consent_by_user_id, erased_external_ids, user_ids_by_external_id
from access.services import get_or_create_user_ids
from interactions.imports.data_set import import_data_set
from interactions.models import Interaction
from interactions.training_data import iter_play_chunks
from privacy import erasure as erasing
from privacy.erasure import ErasureResult, finish_erasures, request_erasure
from privacy.personal_data import personal_data_of, tables_with_data_of
from privacy.services import erase_listener
from recommendations.models import Alarm, UserFeatures
from recommendations.training import publish
from recommendations.training.publish import store_user_features
from recommendations.training.run import run_training
from recommendations.version_store import version_in_service, version_store
from tests.conftest import assert_problem
from tests.listener_rows import create_rows_about
from tests.people import CatalogueFactory

pytestmark = pytest.mark.usefixtures("no_erasure_process")


def import_listener(external_id: str) -> User:
    return User.objects.get(pk=get_or_create_user_ids({external_id})[external_id])


def row_counts(user: User) -> dict[type[Model], int]:
    return {model: model._base_manager.filter(rows).count() for model, rows in personal_data_of(user.pk).items()}


# --- Erasure ---


def test_an_erasure_leaves_no_rows_of_the_listener_and_all_rows_of_others(
    alice: User, bob: User, catalogue: CatalogueFactory, service: APIClient
) -> None:
    tables = create_rows_about(alice, catalogue) | {"django_admin_log"}
    create_rows_about(bob, catalogue)
    rows_of_bob = row_counts(bob)
    assert set(tables_with_data_of(alice.pk)) == tables | {"access_user"}
    erasure = erase_listener(alice.pk)
    assert finish_erasures() == ErasureResult(erased=1)
    erasure.refresh_from_db()
    assert tables_with_data_of(alice.pk) == []
    assert erasure.completed_at is not None
    # A policy remains, without its author.
    assert erasure.erased.keys() == (tables - {"policies"}) | {"access_user"}
    assert erasure.erased["django_admin_log"] == 2
    assert row_counts(bob) == rows_of_bob
    assert finish_erasures() == ErasureResult()


def test_an_erased_listener_gets_recommendations_like_an_unknown_one(
    catalogue: CatalogueFactory, service: APIClient
) -> None:
    users, _ = catalogue.checkerboard()
    run_training("test")
    path = f"/recommend/user/{users[2].pk}/ml"
    assert service.get(path).json()["strategy"] == "personal"
    erase_listener(users[2].pk)
    pending = service.get(path).json()
    finish_erasures()
    erased = service.get(path).json()
    for answer in (pending, erased):
        assert (answer["strategy"], answer["fallback_reason"]) == ("popular", "cold_user")
    assert pending["results"] == erased["results"]
    assert not UserFeatures.objects.filter(user_id=users[2].pk).exists()


def test_training_does_not_read_plays_without_consent_or_with_a_pending_erasure(catalogue: CatalogueFactory) -> None:
    """Both hold for `interactions.training_data.iter_play_chunks`."""
    users, _ = catalogue.checkerboard()
    request_erasure(users[0].pk)
    User.objects.filter(pk=users[1].pk).update(consent=False)
    user_ids = {int(user) for chunk in iter_play_chunks() for user in chunk.user}
    assert user_ids == {user.pk for user in users[2:]}


def test_training_leaves_out_listeners_with_a_pending_erasure(catalogue: CatalogueFactory) -> None:
    users, _ = catalogue.checkerboard()
    erase_listener(users[2].pk)
    run_training("test")
    assert users[2].pk not in version_store().load(str(version_in_service())).users.ids
    finish_erasures()
    assert tables_with_data_of(users[2].pk) == []


@pytest.mark.django_db(transaction=True)
def test_a_version_trained_before_the_erasure_is_projected_without_them(
    catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener is erased between reading the listeners and writing their rows; the write is repeated."""
    users, _ = catalogue.checkerboard()
    run_training("test")
    batch_sizes: list[int] = []

    def erase_after_reading(user_ids: Any) -> dict[int, bool]:
        consents = consent_by_user_id(user_ids)
        batch_sizes.append(len(consents))
        erase_listener(users[2].pk)
        finish_erasures()
        return consents

    monkeypatch.setattr(publish, "consent_by_user_id", erase_after_reading)
    store_user_features(str(version_in_service()))
    assert batch_sizes == [20, 19]
    assert UserFeatures.objects.count() == 19


def test_a_failed_erasure_is_continued_by_the_next_run(
    alice: User, catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.play(alice, *catalogue.tracks(10))
    receipt, delete, deletions = erase_listener(alice.pk).receipt, erasing._delete, []

    def fail_the_third_time(*args: Any) -> None:
        deletions.append(args)
        if len(deletions) == 3:
            raise DatabaseError("the disk is full")
        delete(*args)

    monkeypatch.setattr(erasing, "_delete", fail_the_third_time)
    assert finish_erasures() == ErasureResult(failed=1)
    alarm = Alarm.objects.get(kind="erasure_failed")
    assert (alarm.subject, alarm.message) == (str(receipt), "DatabaseError: the disk is full")
    assert Interaction.objects.filter(user=alice).count() == 4
    assert finish_erasures() == ErasureResult(erased=1)
    assert Erasure.objects.get().erased == {"interactions": 10, "access_user": 1}
    alarm.refresh_from_db()
    assert alarm.resolved_at is not None


def test_an_erasure_that_leaves_rows_raises_an_alarm_and_stays_pending(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase_listener(alice.pk)
    monkeypatch.setattr(erasing, "tables_with_data_of", lambda user_id: ["interactions"])
    assert finish_erasures() == ErasureResult(failed=1)
    assert Erasure.objects.get().completed_at is None
    assert "rows are left in interactions" in Alarm.objects.get().message


def test_only_one_process_erases_at_a_time(alice: User) -> None:
    erase_listener(alice.pk)
    with FileLock(version_store().root / "erasing.lock"):
        assert finish_erasures() == ErasureResult(busy=True)
    assert finish_erasures() == ErasureResult(erased=1)


def test_the_command_erases_pending_and_named_listeners(
    alice: User, bob: User, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = erase_listener(alice.pk).receipt
    call_command("erase_listeners", str(bob.pk))
    output = capsys.readouterr().out
    assert output == f"listener {bob.pk}: receipt {Erasure.objects.get(user_id=bob.pk).receipt}\n2 listeners erased\n"
    assert str(receipt) not in output
    with pytest.raises(CommandError, match="there is no listener 424242"):
        call_command("erase_listeners", "424242")


def test_beat_runs_pending_erasures_every_ten_minutes() -> None:
    import_module("recommendations.migrations.0005_erasures").add(apps, None)  # tables may have been emptied
    schedule = PeriodicTask.objects.get(name="Erasures")
    assert (schedule.task, str(schedule.interval)) == ("recommendations.erase_listeners", "every 10 minutes")


# --- After an erasure ---


def test_an_import_does_not_recreate_erased_listeners(catalogue: CatalogueFactory, tmp_path: Any) -> None:
    catalogue.tracks(1)
    file = tmp_path / "plays.csv"
    file.write_text("user,track,title,artist,played_at\n" + "".join(f"u{n},x,X,Y,1700000000\n" for n in range(3)))

    def import_file() -> list[str]:
        refused: list[str] = []
        report = import_data_set(
            "csv",
            [file],
            namespace="n",
            as_of=1_800_000_000,
            on_refused_row=lambda r: refused.append(f"{r.line}: {r.reason}"),
        )
        assert report.refused == len(refused)
        return refused

    assert import_file() == []
    ids = user_ids_by_external_id(["n:u0", "n:u1", "n:u2"])
    erase_listener(ids["n:u0"])
    User.objects.filter(pk=ids["n:u1"]).update(consent=False)
    expected = [
        "2: user: this listener was erased on request, and is not created again",
        "3: user: this listener does not consent to storing plays (consent is off), or their account is closed",
    ]
    assert import_file() == expected
    finish_erasures()
    assert import_file() == expected
    assert user_ids_by_external_id(["n:u0"]) == {}
    assert erased_external_ids(["n:u0", "n:u1", "n:u9"]) == {"n:u0"}
    assert "n:u0" not in str(Erasure.objects.values().get())


def test_a_listener_with_a_pending_erasure_is_not_found_by_external_id(service: APIClient) -> None:
    user = import_listener("x:1")
    erase_listener(user.pk)
    assert_problem(service.get("/listeners", {"external_id": "x:1"}), 404)


def test_events_of_a_listener_with_a_pending_erasure_are_refused(
    alice: User, catalogue: CatalogueFactory, service: APIClient
) -> None:
    track = catalogue.tracks(1)[0]
    erase_listener(alice.pk)
    event = {"event_id": str(uuid.uuid4()), "type": "like", "track_id": track.pk, "occurred_at": "2026-03-01T12:00:00Z"}
    receipt = service.post("/events", [event | {"user_id": alice.pk}], format="json").json()
    assert (receipt["accepted"], len(receipt["rejected"])) == (0, 1)
    assert not Interaction.objects.exists()
