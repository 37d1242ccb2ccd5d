"""Every URL × every principal. A URL or a method that is not in the table fails: add a line for it.

The columns: nobody · another listener's token · the right token · a key with all scopes but the one it takes · a key
with all scopes · a session of staff in the admin · the listener's token for clients that scrobble.
"""

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from access.listen_tokens import create_listen_token
from access.models import Scope, User
from tests.people import CatalogueFactory
from tracks.models import Track

PRINCIPALS = ("nobody", "other", "own", "bare key", "key", "staff", "scrobbler")
OPEN, CLOSED = "200 200 200 200 200 200 200", "401 403 403 403 200 401 401"
TABLE = f"""
POST   token                                                 400 400 400 400 400 400 400
POST   token/refresh                                         400 400 400 400 400 400 400
POST   token/revoke                                          400 400 400 400 400 400 400
GET    listeners                                             {CLOSED}
GET    tracks                                                401 200 200 403 200 401 401
GET    tracks/<int:track_id>                                 401 200 200 403 200 401 401
POST   events                                                401 400 400 403 400 401 401
POST   1/submit-listens                                      401 401 401 401 401 401 400
GET    1/validate-token                                      400 200 200 200 200 400 200
GET    users/<str:user_id>/preferences                       401 404 200 403 200 401 401
PUT    users/<str:user_id>/likes/<int:track_id>              401 404 204 403 204 401 401
DELETE users/<str:user_id>/likes/<int:track_id>              401 404 204 403 204 401 401
PUT    users/<str:user_id>/dislikes/<int:track_id>           401 404 204 403 204 401 401
DELETE users/<str:user_id>/dislikes/<int:track_id>           401 404 204 403 204 401 401
PUT    users/<str:user_id>/blocks/<block_kind:kind>/<int:target_id> 401 404 204 403 204 401 401
DELETE users/<str:user_id>/blocks/<block_kind:kind>/<int:target_id> 401 404 204 403 204 401 401
GET    users/<str:user_id>/imports                           401 404 200 403 200 401 401
POST   users/<str:user_id>/imports                           401 404 400 403 400 401 401
GET    users/<str:user_id>/imports/<uuid:import_id>          401 404 404 403 404 401 401
GET    users/<str:user_id>                                   401 404 200 403 200 401 401
PATCH  users/<str:user_id>                                   401 404 200 403 200 401 401
DELETE users/<str:user_id>                                   401 404 409 403 409 401 401
GET    users/<str:user_id>/export                            401 404 200 403 200 401 401
GET    erasures/<uuid:receipt>                               404 404 404 404 404 404 404
GET    engagement                                            {CLOSED}
GET    recommend/user/<str:user_id>/ml                       401 404 200 403 200 401 401
GET    recommend/user/<str:user_id>                          401 404 200 403 200 401 401
GET    recommend/similar/<int:track_id>                      401 200 200 403 200 401 401
POST   recommend/batch                                       401 400 400 403 400 401 401
GET    metrics                                               {CLOSED}
GET    (root)                                                {OPEN}
GET    favicon.ico                                           302 302 302 302 302 302 302
GET    schema                                                {OPEN}
GET    schema/docs                                           {OPEN}
GET    health/live                                           {OPEN}
GET    health/ready                                          {OPEN}
"""
ROWS = [(method, route, [int(s) for s in said]) for method, route, *said in map(str.split, TABLE.strip().splitlines())]
QUERY = {
    "listeners": "?external_id=x:alice",
    "tracks": "?external_id=t:0",
    "users/<str:user_id>/imports": "?format=none",
}
METHODS = ("get", "post", "put", "patch", "delete")
Clients = dict[str, APIClient]


def routes(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route or "(root)", pattern.callback


def methods(view: Any) -> set[str]:
    """Of a viewset, of a class of Django REST framework; whatever else there is only shows something."""
    handled = getattr(view, "actions", None) or [m for m in METHODS if hasattr(getattr(view, "cls", None), m)]
    return {m.upper() for m in handled if m in METHODS} or {"GET"}


def everything() -> list[tuple[str, Any]]:
    return list(routes(get_resolver().url_patterns))


@pytest.fixture
def clients(
    catalogue: CatalogueFactory,
    alice: User,
    bob: User,
    as_listener: Callable[[User], APIClient],
    as_service_with: Callable[..., APIClient],
) -> Clients:
    """A client for each principal but the bare key, of whom each view wants another; alice is whom they ask about."""
    catalogue.tracks(1)
    alice.external_id, alice.is_staff = "x:alice", True  # staff are not erased by the API, so that she stays
    alice.save()
    session, scrobbler = APIClient(), APIClient()
    session.force_login(User.objects.create_user("operator", is_staff=True, is_superuser=True))
    scrobbler.credentials(HTTP_AUTHORIZATION=f"Token {create_listen_token(alice.pk)}")
    known = {"nobody": APIClient(), "other": as_listener(bob), "own": as_listener(alice)}
    return known | {"key": as_service_with(*Scope.values), "staff": session, "scrobbler": scrobbler}


def filled(route: str, alice: User) -> str:
    track = str(Track.objects.get().pk)
    values = {"user_id": str(alice.pk), "track_id": track, "target_id": track, "kind": "track"}
    path = re.sub(r"<[^:>]+:(\w+)>", lambda found: values.get(found[1], str(uuid.UUID(int=1))), route)
    return "/" + path.replace("(root)", "") + QUERY.get(route, "")


def test_the_table_has_every_url_and_method() -> None:
    served = {(m, route) for route, view in everything() if not route.startswith("admin/") for m in methods(view)}
    assert {(method, route) for method, route, _ in ROWS} == served


@pytest.mark.parametrize(("method", "route", "expected"), ROWS, ids=[f"{m} {r}" for m, r, _ in ROWS])
def test_each_principal_gets_the_status_in_the_table(
    method: str,
    route: str,
    expected: list[int],
    clients: Clients,
    alice: User,
    as_service_with: Callable[..., APIClient],
) -> None:
    scope = getattr(getattr(dict(everything())[route], "cls", None), "required_scope", None)
    clients["bare key"] = as_service_with(*(set(Scope.values) - {scope}))
    path = filled(route, alice)
    found = [clients[p].generic(method, path, b"{}", "application/json").status_code for p in PRINCIPALS]
    assert dict(zip(PRINCIPALS, found, strict=True)) == dict(zip(PRINCIPALS, expected, strict=True))


def test_other_methods_are_refused(clients: Clients, alice: User) -> None:
    for route, view in everything():
        if hasattr(view, "cls") and not route.startswith("admin/"):
            for method in {m.upper() for m in METHODS} - methods(view):
                status = clients["key"].generic(method, filled(route, alice), b"{}", "application/json").status_code
                assert status in (401, 403, 405), f"{method} {route}"


def test_only_staff_may_use_the_admin(alice: User) -> None:
    """Everybody else is sent to the sign-in, from each of its pages."""
    listener = Client()
    listener.force_login(alice)
    pages = {route for route, _ in everything() if route.startswith("admin/")} - {"admin/login/", "admin/logout/"}
    assert len(pages) > 50
    for route in pages:
        path = "/" + re.sub(r"\^|\$|<[^>]+>|\(\?P<\w+>[^)]*\)", "1", route).replace("11", "1")
        for ask in (Client().post, listener.get):
            answer = ask(path)
            assert answer.status_code == 302, path
            assert answer["Location"].startswith("/admin/login/?next="), path
