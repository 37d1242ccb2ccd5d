"""Service keys: rotation, expiry, last use."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from access import services
from access.models import Scope, ServiceKey, User
from access.services import create_service_key, revoke_service_keys, rotate_service_key

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _no_uses_recorded(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_last_recorded", {})


def status_with(key: str) -> int:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Api-Key {key}")
    status: int = api.get("/recommend/user/1").status_code
    return status


def set_clock_forward(monkeypatch: pytest.MonkeyPatch, delta: timedelta) -> None:
    now = timezone.now() + delta
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)


def test_a_rotated_key_works_until_its_grace_period_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    old = create_service_key("shop", ["recommend"])
    pk = ServiceKey.objects.get().pk
    new = rotate_service_key("shop", timedelta(hours=2))
    assert (status_with(old), status_with(new)) == (200, 200)
    assert ServiceKey.objects.get().pk == pk  # rate limits and idempotency keys continue to apply
    set_clock_forward(monkeypatch, timedelta(hours=3))
    assert (status_with(old), status_with(new)) == (401, 200)


def test_only_the_previous_key_has_a_grace_period() -> None:
    first = create_service_key("shop", ["recommend"])
    second = rotate_service_key("shop", DAY)
    third = rotate_service_key("shop", timedelta())
    assert [status_with(key) for key in (first, second, third)] == [401, 401, 200]


def test_the_command_prints_the_new_key_on_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    old = create_service_key("shop", ["recommend"])
    call_command("rotate_service_key", "shop", "--grace", "0.5", "--days", "90")
    new = capsys.readouterr().out.splitlines()[-1]
    assert new != old
    assert (status_with(old), status_with(new)) == (200, 200)
    expires_at = ServiceKey.objects.get().expires_at
    assert expires_at is not None
    assert 89 < (expires_at - timezone.now()) / DAY <= 90


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nobody"], "there is no key named 'nobody'"),
        (["revoked"], "the key 'revoked' is revoked"),
        (["over"], "choose with --days how long"),
        (["shop", "--grace", "-1"], "--grace must be 0 to 2160 hours"),
        (["shop", "--grace", "nan"], "--grace must be 0 to 2160 hours"),
        (["shop", "--days", "0"], "must be 1 to 3650"),
    ],
)
def test_the_command_explains_invalid_arguments(words: list[str], message: str) -> None:
    for name in ("shop", "revoked", "over"):
        create_service_key(name, ["recommend"])
    revoke_service_keys(ServiceKey.objects.filter(name="revoked"))
    ServiceKey.objects.filter(name="over").update(expires_at=timezone.now())
    before = list(ServiceKey.objects.values())
    with pytest.raises(CommandError, match=message):
        call_command("rotate_service_key", *words)
    assert list(ServiceKey.objects.values()) == before


def test_an_expired_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    key = create_service_key("shop", ["recommend"], days=1)
    assert status_with(key) == 200
    set_clock_forward(monkeypatch, DAY)
    assert status_with(key) == 401


def test_the_last_use_is_recorded_once_a_minute(
    django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = create_service_key("shop", ["tracks"])
    assert status_with(key) == 403
    recorded_at = ServiceKey.objects.get().last_used_at
    assert recorded_at is not None
    with django_assert_num_queries(1):
        assert status_with(key) == 403
    monkeypatch.setattr(services, "_last_recorded", {})  # as in another process, which records after a minute
    set_clock_forward(monkeypatch, timedelta(seconds=61))
    status_with(key)
    assert ServiceKey.objects.get().last_used_at == recorded_at.replace() + (timezone.now() - recorded_at)


def test_a_request_succeeds_if_the_use_of_the_key_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    key = create_service_key("shop", ["tracks"])

    def refuse_updates(execute: Callable[..., object], sql: str, *rest: object) -> object:
        if sql.startswith("UPDATE"):
            raise DatabaseError("read only")
        return execute(sql, *rest)

    with connection.execute_wrapper(refuse_updates):
        assert status_with(key) == 403


def test_a_key_can_have_every_scope() -> None:
    create_service_key("all", Scope.values)
    assert ServiceKey.objects.get().scopes == sorted(Scope.values)
    assert "listeners" in Scope.values


def test_revoking_a_key_in_the_admin_is_logged(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    key = create_service_key("shop", ["recommend"])
    browser = Client()
    browser.force_login(alice)
    action = {"action": "revoke", "_selected_action": ServiceKey.objects.get().pk}
    page = browser.post("/admin/access/servicekey/", action).content.decode()
    assert "Revoke shop?" in page
    assert "A key cannot be restored" in page
    assert status_with(key) == 200
    browser.post("/admin/access/servicekey/", action | {"confirmed": "yes"})
    assert status_with(key) == 401
    assert LogEntry.objects.get().get_change_message() == "Revoked."
    pages = ["servicekey/", f"servicekey/{ServiceKey.objects.get().pk}/change/", "signin/", "erasure/", "listentoken/"]
    for page in [*pages, f"user/{alice.pk}/change/"]:
        response = browser.get(f"/admin/access/{page}")
        assert response.status_code == 200
        assert ServiceKey.objects.get().digest not in response.content.decode()
