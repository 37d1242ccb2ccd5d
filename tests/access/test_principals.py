"""Access without credentials, with a listener's token, and with a service key."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from access.models import ServiceKey, User
from access.selectors import service_key_digest
from access.services import create_service_key, get_or_create_user_ids, revoke_service_keys
from tests.conftest import assert_problem
from tests.people import CatalogueFactory

PUBLIC_PATHS = ["/health/live", "/health/ready", "/schema", "/schema/docs", "/"]
LISTENER_PATHS = ["/recommend/user/{id}/ml", "/recommend/user/{id}"]


@pytest.mark.parametrize("path", PUBLIC_PATHS)
@pytest.mark.usefixtures("db")
def test_health_checks_and_the_schema_are_open_to_everybody(path: str) -> None:
    assert APIClient().get(path).status_code == 200


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("path", ["/recommend/user/1/ml", "/recommend/user/me", "/recommend/similar/1", "/tracks/1"])
def test_other_urls_need_credentials(path: str) -> None:
    response = APIClient().get(path)
    assert_problem(response, 401)
    assert response["WWW-Authenticate"] == "Api-Key"
    assert_problem(APIClient().post("/events", [], format="json"), 401)
    assert_problem(APIClient().get("/metrics"), 401)


@pytest.mark.parametrize("path", LISTENER_PATHS)
def test_a_token_reads_its_own_listener_and_gets_404_for_others(
    path: str, alice: User, bob: User, as_listener: Callable[[User], APIClient]
) -> None:
    api = as_listener(alice)
    assert api.get(path.format(id=alice.pk)).status_code == 200
    assert api.get(path.format(id="me")).status_code == 200
    for other in (bob.pk, 10**30):
        assert_problem(api.get(path.format(id=other)), 404)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_name_of_the_scheme_may_be_in_capitals_or_not(
    scheme: str, alice: User, as_listener: Callable[[User], APIClient]
) -> None:
    token = as_listener(alice).get("/users/me").wsgi_request.headers["Authorization"].removeprefix("Bearer ")
    response = APIClient().get("/users/me", headers={"Authorization": f"{scheme} {token}"})
    assert (response.status_code, response.json()["user_id"]) == (200, alice.pk)


@pytest.mark.parametrize(
    ("token", "detail"),
    [
        ("mr_no-token", "this is a service key; send it as Authorization: Api-Key KEY"),
        ("no-token", "this is not a valid access token: Not enough segments"),
    ],
)
@pytest.mark.usefixtures("db")
def test_what_is_no_token_is_refused_with_the_reason(token: str, detail: str) -> None:
    response = APIClient().get("/users/me", headers={"Authorization": f"Bearer {token}"})
    assert assert_problem(response, 401)["detail"] == detail


def test_a_key_is_limited_to_its_scopes(catalogue: CatalogueFactory, as_service_with: Callable[..., APIClient]) -> None:
    track = catalogue.tracks(1)[0].pk
    calls = {
        "recommend": lambda api: api.get("/recommend/user/1/ml"),
        "tracks": lambda api: api.get(f"/tracks/{track}"),
        "events": lambda api: api.post("/events", [{}], format="json"),
        "metrics": lambda api: api.get("/metrics"),
    }
    for scope in calls:
        api = as_service_with(scope)
        for needed, call in calls.items():
            response = call(api)
            if needed == scope:
                assert response.status_code in (200, 202)
            else:
                assert assert_problem(response, 403)["detail"] == f"this service key lacks the scope '{needed}'"


def test_listeners_cannot_read_metrics(alice: User, as_listener: Callable[[User], APIClient]) -> None:
    assert_problem(as_listener(alice).get("/metrics"), 403)


def test_a_service_key_cannot_use_me(service: APIClient) -> None:
    errors = assert_problem(service.get("/recommend/user/me/ml"), 400)["errors"]
    assert errors == [
        {"pointer": "{user_id}", "detail": "'me' needs a listener's token; a service key names the listener by id"}
    ]


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("key", ["nonsense", "", "mr_", "\x7f\x80", "a" * 5000])
def test_an_unknown_key_is_refused(key: str) -> None:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Api-Key {key}")
    assert_problem(api.get("/tracks/1"), 401)


def test_a_revoked_key_is_refused_at_once(service: APIClient) -> None:
    assert revoke_service_keys(ServiceKey.objects.all()) == 1
    assert revoke_service_keys(ServiceKey.objects.all()) == 0
    assert_problem(service.get("/tracks/1"), 401)


@pytest.mark.usefixtures("db")
def test_only_the_digest_of_a_key_is_stored() -> None:
    key = create_service_key("shop", ["recommend"])
    stored = ServiceKey.objects.values_list().get()
    assert key not in map(str, stored)
    assert ServiceKey.objects.get().prefix == key[:12]


@pytest.mark.usefixtures("db")
def test_the_command_prints_the_key_on_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_service_key", "shop", "--scope", "recommend", "--scope", "events")
    key = capsys.readouterr().out.splitlines()[-1]
    stored = ServiceKey.objects.get(digest=service_key_digest(key))
    assert (stored.name, stored.scopes) == ("shop", ["events", "recommend"])


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "--scope", "nonsense"], "unknown scope nonsense; scopes are recommend, events, tracks, metrics"),
        (["a"], "a key needs a scope"),
        (["taken", "--scope", "events"], "a key named 'taken' exists"),
    ],
)
def test_the_command_explains_invalid_arguments(words: list[str], message: str) -> None:
    create_service_key("taken", ["events"])
    with pytest.raises(CommandError, match=message):
        call_command("create_service_key", *words)
    assert ServiceKey.objects.count() == 1


@pytest.mark.parametrize("format", ["json", "form"])
def test_signing_in_returns_a_valid_token(alice: User, format: str) -> None:
    fields = {"username": "alice", "password": "wonderland-7"}
    if format == "json":
        response = APIClient().post("/token", fields, format="json")
    else:
        body = "username=alice&password=wonderland-7"
        response = APIClient().post("/token", body, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 200
    assert response.json().keys() == {
        *("access", "token_type", "expires_in", "refresh", "refresh_expires_in", "user_id")
    }
    assert response.json()["user_id"] == alice.pk
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {response.json()['access']}")
    assert api.get("/recommend/user/me/ml").status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"username": "alice", "password": "wrong"}, 401),
        ({"username": "nobody", "password": "wrong"}, 401),
        ({"username": "alice\x00", "password": "x"}, 400),
        ({"username": "alice"}, 400),
        ([], 400),
    ],
)
def test_a_wrong_sign_in_is_refused(alice: User, body: object, status: int) -> None:
    assert_problem(APIClient().post("/token", body, format="json"), status)


def test_a_token_of_a_closed_account_is_refused(alice: User, as_listener: Callable[[User], APIClient]) -> None:
    api = as_listener(alice)
    alice.is_active = False
    alice.save()
    assert_problem(api.get("/recommend/user/me/ml"), 401)


@pytest.mark.usefixtures("db")
def test_listeners_are_found_by_external_id_or_created() -> None:
    first = get_or_create_user_ids({"x:1", "x:2"})
    assert get_or_create_user_ids({"x:2", "x:3"})["x:2"] == first["x:2"]
    assert User.objects.count() == 3
    imported = User.objects.get(external_id="x:1")
    assert (imported.username, imported.has_usable_password()) == ("x-1", False)
    imported.clean_fields()  # so that the operator can save it in the admin


def test_an_external_id_equal_to_a_username_is_another_listener(alice: User) -> None:
    user_ids = get_or_create_user_ids({"alice", "x:1", "x-1"})
    assert len({alice.pk, *user_ids.values()}) == 4
    assert get_or_create_user_ids({"alice", "x:1", "x-1"}) == user_ids


def test_a_back_end_finds_listeners_by_external_id(
    service: APIClient, alice: User, as_listener: Callable[[User], APIClient]
) -> None:
    user_id = get_or_create_user_ids({"x:1"})["x:1"]
    response = service.get("/listeners", {"external_id": "x:1"})
    assert (response.status_code, response.json()) == (200, {"user_id": user_id, "external_id": "x:1"})
    assert_problem(service.get("/listeners", {"external_id": "x:2"}), 404)
    assert_problem(service.get("/listeners"), 400)
    assert_problem(as_listener(alice).get("/listeners", {"external_id": "x:1"}), 403)
    assert_problem(APIClient().get("/listeners", {"external_id": "x:1"}), 401)


def test_the_view_permission_does_not_allow_revoking_keys(service: APIClient, bob: User) -> None:
    bob.is_staff = True
    bob.save()
    bob.user_permissions.add(Permission.objects.get(codename="view_servicekey"))
    browser = Client()
    browser.force_login(bob)
    action = {"action": "revoke", "_selected_action": ServiceKey.objects.get().pk, "confirmed": "yes"}
    browser.post("/admin/access/servicekey/", action)
    assert ServiceKey.objects.get().revoked_at is None
    bob.user_permissions.add(Permission.objects.get(codename="change_servicekey"))
    browser.post("/admin/access/servicekey/", action)
    assert ServiceKey.objects.get().revoked_at is not None
