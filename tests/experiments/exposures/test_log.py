"""The slate log stores slates after the response."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from experiments.exposures.log import SlateRecord, slate_log
from experiments.models import Slate
from tests.people import CatalogueFactory
from tests.stack import new_stack


def slate_record(user_id: int | None = None) -> SlateRecord:
    return SlateRecord(uuid.uuid4(), user_id, "popular", "", "", [1, 2], timezone.now())


def test_a_full_buffer_drops_slates_and_requests_are_still_answered(
    service: APIClient, catalogue: CatalogueFactory, settings: Any
) -> None:
    catalogue.tracks(2)
    settings.MUSICREC = settings.MUSICREC | {"SLATE_BUFFER": 3}
    for listener in range(1, 6):
        assert service.get(f"/recommend/user/{listener}/ml").status_code == 200
    slate_log.flush()
    assert Slate.objects.count() == 3


def test_slates_of_erased_listeners_are_not_stored_and_those_of_unwilling_ones_without_them(
    alice: User, bob: User
) -> None:
    erased, unwilling = alice.pk, bob.pk
    alice.delete()
    User.objects.filter(pk=unwilling).update(consent=False)
    existing = User.objects.create_user("existing").pk
    for user_id in (erased, unwilling, existing, None):
        slate_log.add(slate_record(user_id))
    slate_log.flush()
    stored = set(Slate.objects.values_list("user_id", "is_counted"))
    assert stored == {(None, False), (None, True), (existing, True)}


def test_slates_that_cannot_be_written_are_dropped(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise OSError("the database is away")

    monkeypatch.setattr("experiments.exposures.log._write", away)
    slate_log.add(slate_record())
    slate_log.flush()
    monkeypatch.undo()
    slate_log.flush()
    assert not Slate.objects.exists()


def test_a_request_succeeds_if_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    def none_left(thread: Any) -> None:
        raise RuntimeError("can't start new thread")

    settings.MUSICREC = settings.MUSICREC | {"MODEL_POLL_SECONDS": 1}
    monkeypatch.setattr("threading.Thread.start", none_left)
    slate_log.add(slate_record())


@pytest.mark.slow
def test_a_process_writes_queued_slates_by_itself_at_exit_and_after_a_fork(tmp_path: Any) -> None:
    stack = new_stack(tmp_path)
    stack.run_python(
        "import os, time, uuid; from django.utils import timezone; from experiments.models import Slate\n"
        "from experiments.exposures.log import SlateRecord, slate_log\n"
        "def add():\n"
        "    slate_log.add(SlateRecord(uuid.uuid4(), None, 'popular', '', str(os.getpid()), [1], timezone.now()))\n"
        "add()\n"
        "end = time.monotonic() + 20\n"
        "while not Slate.objects.exists() and time.monotonic() < end: time.sleep(0.1)\n"
        "assert Slate.objects.count() == 1\n"
        "from django.db import connection; connection.close()\n"
        "child = os.fork()\n"
        "add()\n"
        "if not child: time.sleep(3); os._exit(0)\n"  # by its thread: without atexit
        "os.waitpid(child, 0); add()"
    )
    said = stack.run_python(
        "from django.db.models import Count; from experiments.models import Slate\n"
        "print(sorted(Slate.objects.values_list('placement').annotate(n=Count('pk')).values_list('n', flat=True)))"
    )
    assert said == "[1, 3]"


def test_without_consent_a_slate_is_stored_without_its_listener(
    alice: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    catalogue.tracks(2)
    User.objects.filter(pk=alice.pk).update(consent=False)
    answer = as_listener(alice).get("/recommend/user/me/ml").json()
    assert (answer["fallback_reason"], len(answer["results"])) == ("no_model", 2)
    slate_log.flush()
    slate = Slate.objects.get()
    assert (str(slate.pk), slate.user_id, slate.is_counted) == (answer["recommendation_id"], None, False)
    assert slate.request == {"kind": "personal", "limit": 20}


def test_a_not_modified_response_is_not_another_slate(service: APIClient, catalogue: CatalogueFactory) -> None:
    catalogue.tracks(2)
    first = service.get("/recommend/user/1/ml")
    for _ in range(2):
        assert service.get("/recommend/user/1/ml", HTTP_IF_NONE_MATCH=first["ETag"]).status_code == 304
    slate_log.flush()
    assert str(Slate.objects.get().pk) == first.json()["recommendation_id"]
