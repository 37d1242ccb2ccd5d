"""Sign-ins: refreshing, theft, signing out."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from access import sign_ins
from access.models import SignIn, User
from tests.conftest import assert_problem

PASSWORD = "wonderland-7"


def post(path: str, **body: Any) -> Any:
    return APIClient().post(path, body, format="json")


def sign_in_alice(password: str = PASSWORD) -> dict[str, Any]:
    response = post("/token", username="alice", password=password)
    assert response.status_code == 200, response.content
    tokens: dict[str, Any] = response.json()
    return tokens


def status_with(tokens: dict[str, Any]) -> int:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
    status: int = api.get("/recommend/user/me").status_code
    return status


def refresh(tokens: dict[str, Any]) -> Any:
    return post("/token/refresh", refresh=tokens["refresh"])


def test_refreshing_returns_new_tokens_and_keeps_the_old_access_token_valid(alice: User) -> None:
    first = sign_in_alice()
    second = refresh(first).json()
    assert second.keys() == first.keys()
    assert (second["user_id"], second["refresh_expires_in"]) == (alice.pk, 30 * 86400)
    assert (status_with(first), status_with(second)) == (200, 200)
    assert refresh(second).status_code == 200
    assert SignIn.objects.count() == 1


def test_using_a_refresh_token_twice_ends_its_sign_in_only(alice: User) -> None:
    other, first = sign_in_alice(), sign_in_alice()
    second = refresh(first).json()
    assert "used before" in assert_problem(refresh(first), 401)["detail"]
    assert (status_with(first), status_with(second), status_with(other)) == (401, 401, 200)
    assert_problem(refresh(second), 401)


def test_signing_out_ends_one_sign_in_and_can_be_repeated(alice: User) -> None:
    other, tokens = sign_in_alice(), sign_in_alice()
    for _ in range(2):
        response = post("/token/revoke", refresh=tokens["refresh"])
        assert (response.status_code, response.content) == (204, b"")
    assert (status_with(tokens), status_with(other)) == (401, 200)
    assert_problem(refresh(tokens), 401)


def test_signing_out_everywhere_ends_all_sign_ins_of_the_listener(alice: User, bob: User) -> None:
    phones = [sign_in_alice(), sign_in_alice()]
    bobs_tokens = sign_ins.sign_in(bob)
    assert post("/token/revoke", refresh=phones[0]["refresh"], everywhere=True).status_code == 204
    assert [status_with(t) for t in phones] == [401, 401]
    assert status_with({"access": bobs_tokens.access}) == 200
    assert_problem(post("/token/revoke", refresh=phones[0]["refresh"], everywhere=True), 401)


def test_a_used_refresh_token_cannot_sign_out_everywhere(alice: User) -> None:
    other, first = sign_in_alice(), sign_in_alice()
    refresh(first)
    assert_problem(post("/token/revoke", refresh=first["refresh"], everywhere=True), 401)
    assert status_with(other) == 200


@pytest.mark.parametrize("path", ["/token/refresh", "/token/revoke"])
@pytest.mark.parametrize(
    ("body", "status"), [({}, 400), ([], 400), ({"refresh": 7}, 401), ({"refresh": "x"}, 401), ({"refresh": ""}, 400)]
)
@pytest.mark.usefixtures("db")
def test_an_invalid_refresh_token_is_refused(path: str, body: Any, status: int) -> None:
    assert_problem(APIClient().post(path, body, format="json"), status)


def test_access_and_refresh_tokens_are_not_interchangeable(alice: User) -> None:
    tokens = sign_in_alice()
    assert_problem(post("/token/refresh", refresh=tokens["access"]), 401)
    assert status_with({"access": tokens["refresh"]}) == 401


def test_an_expired_refresh_token_is_refused(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_ins.RefreshToken, "lifetime", timedelta(seconds=-1))
    assert_problem(refresh(sign_in_alice()), 401)


def test_a_closed_or_deleted_account_is_signed_out(alice: User) -> None:
    tokens = sign_in_alice()
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert status_with(tokens) == 401
    assert_problem(refresh(tokens), 401)
    User.objects.filter(pk=alice.pk).update(is_active=True)
    tokens = sign_in_alice()
    alice.delete()
    assert status_with(tokens) == 401
    assert_problem(refresh(tokens), 401)


def test_a_new_password_signs_out_everywhere(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = sign_in_alice()
    alice.email = "alice@example.org"
    alice.save()
    assert status_with(tokens) == 200
    monkeypatch.setattr("getpass.getpass", lambda prompt: "looking-glass-8")
    call_command("changepassword", "alice", verbosity=0)
    assert status_with(tokens) == 401
    assert status_with(sign_in_alice("looking-glass-8")) == 200


def test_authenticating_a_token_takes_one_query(alice: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {sign_in_alice()['access']}")
    with django_assert_num_queries(1):
        assert_problem(api.get("/listeners?external_id=x"), 403)  # refused after the query of the authentication


def test_signing_in_deletes_expired_and_surplus_sign_ins(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in_alice()
    SignIn.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    monkeypatch.setattr(sign_ins, "MAX_SIGN_INS", 3)
    phones = [sign_in_alice() for _ in range(4)]
    assert [status_with(t) for t in phones] == [401, 200, 200, 200]
    assert SignIn.objects.count() == 3


def test_signing_out_everywhere_in_the_admin_is_logged(
    alice: User, bob: User, as_listener: Callable[[User], APIClient]
) -> None:
    tokens = sign_in_alice()
    bob.is_staff = True
    bob.save()
    codes = ["view_user", "view_logentry"]
    bob.user_permissions.add(*Permission.objects.filter(codename__in=codes))
    browser = Client()
    browser.force_login(bob)
    asked = {"action": "sign_out_everywhere", "_selected_action": alice.pk}
    action = asked | {"confirmed": "yes"}
    browser.post("/admin/access/user/", action)
    assert status_with(tokens) == 200  # the view permission is not enough
    bob.user_permissions.add(Permission.objects.get(codename="change_user"))
    assert "Sign out alice everywhere?" in browser.post("/admin/access/user/", asked).content.decode()
    assert status_with(tokens) == 200
    browser.post("/admin/access/user/", action)
    assert status_with(tokens) == 401
    entry = LogEntry.objects.get()
    assert (entry.user_id, entry.object_id) == (bob.pk, str(alice.pk))
    page = browser.get("/admin/admin/logentry/").content.decode()
    assert "Signed out everywhere." in page
    assert browser.post(f"/admin/admin/logentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403


def test_signing_in_to_the_admin_without_a_destination_leads_to_its_first_page(bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_staff=True)
    response = Client().post("/admin/login/", {"username": "bob", "password": "builder-77"})
    assert (response.status_code, response["Location"]) == (302, "/admin/")


@pytest.fixture
def hashed_passwords(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which each password is added when it is hashed, which is what takes long in a sign-in."""
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def record(hasher: Any, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(hasher, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", record)
    return hashed


@pytest.mark.parametrize("path", ["/token", "/admin/login/"])
def test_a_failed_sign_in_neither_says_nor_shows_by_its_time_whether_there_is_such_an_account(
    alice: User, bob: User, hashed_passwords: list[str], path: str
) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)
    User.objects.create(username="imported")  # as importers create them, with the empty text as their hash
    User.objects.create_user("unusable")
    attempts = {"alice": "wrong", "nobody": "wrong", "bob": "builder-77", "imported": "wrong", "unusable": "wrong"}
    answers = []
    for name, password in attempts.items():
        hashed_passwords.clear()
        with CaptureQueriesContext(connection) as queries:
            if path == "/token":
                response = post(path, username=name, password=password)
                text = response.json() | {"request_id": ""}
            else:
                response = Client().post(path, {"username": name, "password": password})
                text = re.findall("Please enter the correct username and password[^.]*", response.content.decode())
        answers.append((response.status_code, text, len(queries), len(hashed_passwords)))
    assert answers == [answers[0]] * len(attempts)
    assert (answers[0][0], answers[0][3]) == (401 if path == "/token" else 200, 1)
    assert answers[0][1]
