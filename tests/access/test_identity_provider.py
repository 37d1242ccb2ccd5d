"""Tokens of the app's identity provider: who is let in, and the reason for each refusal."""

import base64
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from rest_framework.test import APIClient

from access import identity_provider
from access.identity_provider import ProviderKeys
from access.models import Erasure, User
from access.selectors import external_id_digest
from access.services import get_or_create_user_ids
from access.sign_ins import sign_in
from tests.conftest import assert_problem
from tests.oidc import OpenIdProvider
from tests.people import CatalogueFactory

ISSUER, AUDIENCE = "https://id.example", "app-ios"
KEYS: dict[str, Any] = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "other": rsa.generate_private_key(65537, 2048),
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "text": "a secret of the attacker, 32 bytes",
}


class KeyServer:
    """An HTTP server with a JWKS, which counts the requests."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.body: bytes | None = None  # instead of the keys
        self.requests = 0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.requests += 1
                body = json.dumps({"keys": owner.keys}).encode() if owner.body is None else owner.body
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/jwks"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def public_jwk(key: str, key_id: str) -> dict[str, Any]:
    algorithm = jwt.get_algorithm_by_name("ES256" if key == "ec" else "RS256")
    return algorithm.to_jwk(KEYS[key].public_key(), as_dict=True) | {"kid": key_id}


@pytest.fixture
def key_server(settings: Any, db: None) -> Iterator[KeyServer]:
    server = KeyServer()
    server.keys = [public_jwk("rsa", "rsa-1"), public_jwk("ec", "ec-1")]
    settings.MUSICREC |= {"IDP_ISSUER": ISSUER, "IDP_AUDIENCE": ["app-android", AUDIENCE], "IDP_JWKS_URL": server.url}
    yield server
    server.stop()


@pytest.fixture
def no_fetch_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_provider, "FETCH_INTERVAL_SECONDS", 0.0)


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    server = OpenIdProvider()
    yield server
    server.stop()


def make_token(
    key: str = "rsa", algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changes: Any
) -> str:
    """Return a valid token with some claims changed; None leaves a claim out, and times are seconds from now."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "dana", "iat": 0, "exp": 600} | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    for name in {"exp", "nbf", "iat"} & claims.keys():
        claims[name] += int(time.time())
    headers = {"kid": "ec-1" if key == "ec" else "rsa-1"} if headers is None else headers
    return jwt.encode(claims, KEYS.get(key), algorithm, headers=headers)


def with_token(token: str) -> APIClient:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return api


def assert_refused(token: str, reason: str) -> None:
    response = with_token(token).get("/users/me")
    problem = assert_problem(response, 401)
    assert reason in problem["detail"], problem["detail"]
    assert response["WWW-Authenticate"]
    assert not User.objects.filter(external_id__isnull=False).exists()


# --- A real provider ---


def test_a_token_of_a_real_provider_lets_its_listener_in(
    provider: OpenIdProvider, settings: Any, catalogue: CatalogueFactory
) -> None:
    settings.MUSICREC |= {
        "IDP_ISSUER": provider.issuer,
        "IDP_AUDIENCE": ["music-app"],
        "IDP_JWKS_URL": provider.jwks_url,
    }
    track = catalogue.tracks(1)[0]
    api = with_token(provider.sign_in("subject-1", "music-app"))
    account = api.get("/users/me").json()
    assert (account["external_id"], account["consent"]) == ("subject-1", True)
    event = {"event_id": str(uuid.uuid4()), "type": "like", "track_id": track.pk, "occurred_at": "2026-03-01T12:00:00Z"}
    assert api.post("/events", [event], format="json").json()["accepted"] == 1
    assert api.get("/users/me/preferences").json()["likes"] == [track.pk]
    assert api.get("/recommend/user/me/ml").json()["fallback_reason"] == "no_model"
    assert_problem(api.get(f"/users/{account['user_id'] + 1}"), 404)
    assert_refused_by_real(provider.sign_in("subject-1", "another-app"), "its audience (aud) is not music-app")


def assert_refused_by_real(token: str, reason: str) -> None:
    assert reason in assert_problem(with_token(token).get("/users/me"), 401)["detail"]


def test_a_real_provider_may_replace_its_key(
    provider: OpenIdProvider, settings: Any, db: None, no_fetch_interval: None
) -> None:
    settings.MUSICREC |= {
        "IDP_ISSUER": provider.issuer,
        "IDP_AUDIENCE": ["music-app"],
        "IDP_JWKS_URL": provider.jwks_url,
    }
    old = provider.sign_in("subject-1", "music-app")
    assert with_token(old).get("/users/me").status_code == 200
    provider.stop()
    assert with_token(old).get("/users/me").status_code == 200  # by the keys fetched before
    provider.start()
    new = provider.sign_in("subject-1", "music-app")
    assert with_token(new).get("/users/me").status_code == 200
    assert_refused_by_real(old, "its signature is wrong: it is by none of the identity provider's keys")


# --- Valid tokens ---


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": [AUDIENCE]},
        {"aud": ["somebody-else", "app-android"]},
        {"key": "ec", "algorithm": "ES256"},
        {"headers": {}},
        {"headers": {}, "key": "ec", "algorithm": "ES256"},
        {"iat": None},
    ],
    ids=str,
)
def test_valid_tokens_of_every_form_are_accepted(key_server: KeyServer, changes: dict[str, Any]) -> None:
    response = with_token(make_token(**changes)).get("/users/me")
    assert (response.status_code, response.json()["external_id"]) == (200, "dana")


def test_the_subject_is_the_external_id_of_an_existing_listener(key_server: KeyServer) -> None:
    user_id = get_or_create_user_ids(["dana"])["dana"]
    for path in ("/users/me", f"/users/{user_id}"):
        assert with_token(make_token()).get(path).json()["user_id"] == user_id
    assert with_token(make_token()).get(f"/recommend/user/{user_id}/ml").status_code == 200
    assert User.objects.count() == 1


def test_own_tokens_work_beside_those_of_the_provider(key_server: KeyServer, alice: User) -> None:
    assert with_token(sign_in(alice).access).get("/users/me").json()["user_id"] == alice.pk
    assert key_server.requests == 0


def test_listeners_are_created_only_if_the_operator_wants_it(key_server: KeyServer, settings: Any) -> None:
    settings.MUSICREC |= {"IDP_CREATE_LISTENERS": False}
    assert_refused(make_token(), "there is no listener with its subject (sub) as external id")
    get_or_create_user_ids(["dana"])
    assert with_token(make_token()).get("/users/me").status_code == 200


def test_a_closed_or_erased_account_is_refused(key_server: KeyServer) -> None:
    User.objects.filter(pk=get_or_create_user_ids(["dana"])["dana"]).update(is_active=False)
    detail = assert_problem(with_token(make_token()).get("/users/me"), 401)["detail"]
    assert detail == "this token is refused: this account is closed"
    User.objects.all().delete()
    Erasure.objects.create(user_id=1, external_digest=external_id_digest("dana"))
    assert_refused(make_token(), "this account was erased on request")


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
def test_clocks_may_differ_by_the_leeway(key_server: KeyServer, settings: Any, claim: str) -> None:
    token = make_token(**{claim: -30 if claim == "exp" else 30})
    assert with_token(token).get("/users/me").status_code == 200
    User.objects.all().delete()
    settings.MUSICREC |= {"IDP_LEEWAY_SECONDS": 10}
    assert_refused(token, "it has expired (exp)" if claim == "exp" else "it is not valid yet (nbf, iat)")


# --- Refused tokens ---


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": -600}, "it has expired (exp); get a new one from the identity provider"),
        ({"nbf": 6000}, "it is not valid yet (nbf, iat)"),
        ({"iat": 6000}, "it is not valid yet (nbf, iat)"),
        ({"exp": None}, "it has no exp"),
        ({"aud": "another-app"}, f"its audience (aud) is not app-android or {AUDIENCE}"),
        ({"aud": ["another-app", "x"]}, f"its audience (aud) is not app-android or {AUDIENCE}"),
        ({"aud": {"app-ios": 1}}, "its audience (aud) is not"),
        ({"aud": [AUDIENCE, 7]}, "its audience (aud) is not"),
        ({"aud": None}, "it has no aud"),
        ({"iss": "https://evil.example"}, "its issuer (iss) is not the identity provider of this service"),
        ({"iss": f"{ISSUER}/"}, "its issuer (iss) is not the identity provider of this service"),
        ({"sub": None}, "it has no sub"),
        ({"sub": ""}, "its subject (sub) cannot be an external id: the external id is empty"),
        ({"sub": "a" * 129}, "its subject (sub) cannot be an external id: the external id has 129 characters"),
        ({"sub": "a\x00"}, "its subject (sub) cannot be an external id: the external id contains control characters"),
        ({"key": "other"}, "its signature is wrong"),
        ({"key": "other", "headers": {}}, "its signature is wrong: it is by none of the identity provider's keys"),
        ({"key": "other", "headers": {"kid": "x"}}, "the identity provider has no key for RS256 with its id (kid)"),
        ({"headers": {"kid": "ec-1"}}, "the identity provider has no key for RS256 with its id (kid)"),
        ({"algorithm": "RS512"}, "its algorithm 'RS512' is not allowed; allowed are RS256, ES256"),
        ({"algorithm": "PS256"}, "its algorithm 'PS256' is not allowed; allowed are RS256, ES256"),
        ({"key": "none", "algorithm": "none"}, "its algorithm 'none' is not allowed"),
        ({"key": "text", "algorithm": "HS256"}, "its algorithm 'HS256' is not allowed"),
        (
            {"headers": {"kid": "rsa-1", "crit": ["x"], "x": 1}},
            "this is not a valid access token: Unsupported critical",
        ),
    ],
    ids=str,
)
def test_an_invalid_token_is_refused_with_the_reason(
    key_server: KeyServer, changes: dict[str, Any], reason: str
) -> None:
    assert_refused(make_token(**changes), reason)


def encode_part(value: Any) -> str:
    return (
        base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).decode().rstrip("=")
    )


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "", None, ["RS256"], "HS256", "HS512"])
def test_a_forged_token_is_refused_whatever_algorithm_it_claims(key_server: KeyServer, algorithm: Any) -> None:
    """Among them those whose MAC is made with the public key, which everybody knows."""
    pem = (
        KEYS["rsa"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    payload = encode_part({"iss": ISSUER, "aud": AUDIENCE, "sub": "dana", "exp": int(time.time()) + 600})
    signed = f"{encode_part({'alg': algorithm, 'kid': 'rsa-1'})}.{payload}"
    mac = jwt.get_algorithm_by_name("HS512" if algorithm == "HS512" else "HS256").sign(signed.encode(), pem)
    for signature in ("", encode_part(mac)):
        assert_refused(f"{signed}.{signature}", "is not allowed; allowed are RS256, ES256")
    assert key_server.requests == 0


def test_a_changed_payload_is_refused(key_server: KeyServer) -> None:
    header, payload, signature = make_token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "==")) | {"sub": "mallory"}
    assert_refused(f"{header}.{encode_part(claims)}.{signature}", "its signature is wrong")


def test_keys_that_the_token_brings_along_are_ignored(key_server: KeyServer) -> None:
    attacker = KeyServer()
    attacker.keys = [public_jwk("other", "evil")]
    for key_id in ("evil", "rsa-1"):
        headers = {"kid": key_id, "jku": attacker.url, "x5u": attacker.url, "jwk": attacker.keys[0], "x5c": ["MII="]}
        expected = "its signature is wrong" if key_id == "rsa-1" else "has no key for RS256 with its id (kid)"
        assert_refused(make_token("other", headers=headers), expected)
    assert attacker.requests == 0
    attacker.stop()


@pytest.mark.parametrize(
    "token",
    [
        "x" * 8193,
        "x",
        "a.b.c",
        "...",
        f"{encode_part([])}.{encode_part({'iss': ISSUER})}.x",
        f"{encode_part({'alg': 'RS256'})}.{encode_part([ISSUER])}.x",
        f"{encode_part({'alg': 'RS256'})}.{encode_part(b'[' * 5000)}.x",
        f"{encode_part({'alg': 'RS256', 'kid': 7})}.{encode_part({'iss': ISSUER})}.eA",
        f"{encode_part({'alg': 'RS256', 'kid': 'rsa-1', 'b64': False})}..eA",
    ],
    ids=range(9),
)
def test_garbage_is_refused(key_server: KeyServer, token: str) -> None:
    assert_refused(token, "")


def test_without_a_provider_its_tokens_are_refused(db: None) -> None:
    assert_refused(make_token(), "no identity provider is configured (MUSICREC_IDP_ISSUER)")


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, "this token has expired; refresh it, or sign in again"),
        ({"token_type": "refresh"}, "this is not a valid access token: Token has wrong type"),
    ],
)
def test_an_invalid_token_of_our_own_is_refused_with_the_reason(
    alice: User, settings: Any, claims: dict[str, Any], reason: str
) -> None:
    valid = jwt.decode(sign_in(alice).access, options={"verify_signature": False})
    assert_refused(jwt.encode(valid | claims, settings.SECRET_KEY, "HS256"), reason)
    forged = jwt.encode(valid, "another key that is long enough, 32 bytes", "HS256")
    assert_refused(forged, "this is not a valid access token: Token is invalid")
    assert_refused(jwt.encode(valid, None, "none"), "this is not a valid access token: Invalid algorithm specified")


# --- The keys ---


def test_keys_are_fetched_once(key_server: KeyServer) -> None:
    for _ in range(3):
        assert with_token(make_token()).get("/users/me").status_code == 200
    assert key_server.requests == 1


def test_forged_tokens_do_not_make_the_service_fetch_keys_each_time(key_server: KeyServer) -> None:
    for number in range(20):
        assert_refused(make_token("other", headers={"kid": f"x{number}"}), "has no key for RS256 with its id (kid)")
    assert_refused(make_token("other"), "its signature is wrong")
    assert key_server.requests == 1


def test_a_new_key_is_found_and_a_withdrawn_one_refused(key_server: KeyServer, no_fetch_interval: None) -> None:
    old, new = make_token(), make_token("other", headers={"kid": "rsa-2"})
    assert with_token(old).get("/users/me").status_code == 200
    key_server.keys = [public_jwk("other", "rsa-2")]
    assert with_token(new).get("/users/me").status_code == 200
    detail = assert_problem(with_token(old).get("/users/me"), 401)["detail"]
    assert detail == "this token is refused: the identity provider has no key for RS256 with its id (kid)"


def test_without_keys_the_answer_is_503_until_the_provider_answers(
    key_server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_server.body = b"<html>down for maintenance"
    response = with_token(make_token()).get("/users/me")
    assert "keys of the identity provider cannot be read" in assert_problem(response, 503)["detail"]
    assert response["Retry-After"] == "10"
    key_server.body = None
    assert_problem(with_token(make_token()).get("/users/me"), 503)
    assert key_server.requests == 1
    monkeypatch.setattr(identity_provider, "FETCH_INTERVAL_SECONDS", 0.0)
    assert with_token(make_token()).get("/users/me").status_code == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "x"}]}', b"\xff"])
def test_old_keys_stay_in_use_while_the_provider_answers_nonsense(
    key_server: KeyServer, no_fetch_interval: None, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(identity_provider, "KEYS_LIFETIME_SECONDS", 0.0)
    keys = ProviderKeys(key_server.url)
    fetched = [key.key_id for key in keys.current()]
    key_server.body = body
    assert [key.key_id for key in keys.current()] == fetched == ["rsa-1", "ec-1"]
    assert key_server.requests == 2


def test_a_silent_provider_delays_a_request_by_seconds_at_most(
    key_server: KeyServer, monkeypatch: pytest.MonkeyPatch, silent_server: str
) -> None:
    monkeypatch.setattr(identity_provider, "FETCH_TIMEOUT_SECONDS", 0.3)
    keys, started = ProviderKeys(silent_server), time.monotonic()
    for _ in range(5):
        with pytest.raises(identity_provider.ProviderUnavailable):
            keys.current()
    assert time.monotonic() - started < 2


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Return the URL of a server that accepts connections and does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/jwks"


def test_a_provider_token_takes_one_query_more_than_a_token_of_our_own(
    key_server: KeyServer, catalogue: CatalogueFactory, django_assert_num_queries: Callable[[int], Any]
) -> None:
    catalogue.tracks(1)
    api = with_token(make_token())
    api.get("/recommend/user/me/ml")
    with django_assert_num_queries(2):
        assert api.get("/recommend/user/me/ml").status_code == 200
