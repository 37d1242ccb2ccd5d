"""Every URL × every principal. The test fails for a URL or method that is not in the table: add a line for it.

The columns are: no credentials, the token of another listener, the listener's own token, a service key with every scope
but the required one, a service key with every scope, a staff session of the admin, the listener's listen token.
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
from recommendations.models import TrainingRun
from tests.people import CatalogueFactory
from tracks.models import Track

PRINCIPALS = ("nobody", "other", "own", "bare key", "key", "staff", "scrobbler")
OPEN, CLOSED = "200 200 200 200 200 200 200", "401 403 403 403 200 401 401"
SCROBBLER = "401 401 401 401 401 401 200"
TABLE = f"""
POST   token                                                 400 400 400 400 400 400 400
POST   listeners/<str:listener_id>/token                     401 403 403 403 400 401 401
POST   token/device                                          400 400 400 400 400 400 400
POST   token/refresh                                         400 400 400 400 400 400 400
POST   token/revoke                                          400 400 400 400 400 400 400
GET    listeners                                             {CLOSED}
PUT    listeners                                             401 403 403 403 400 401 401
GET    listeners/<str:external_id>                           401 403 403 403 200 401 401
PUT    listeners/<str:external_id>                           401 403 403 403 409 401 401
GET    tracks                                                401 200 200 403 200 401 401
GET    tracks/<str:track_id>                                 401 200 200 403 200 401 401
GET    search                                                401 200 200 403 200 401 401
GET    search/tracks                                         401 200 200 403 200 401 401
GET    search/artists                                        401 200 200 403 200 401 401
GET    search/albums                                         401 200 200 403 200 401 401
PUT    tracks                                                401 403 403 403 400 401 401
PUT    tracks/<str:track_id>                                 401 403 403 403 200 401 401
DELETE tracks/<str:track_id>                                 401 403 403 403 204 401 401
GET    tracks/<str:track_id>/vectors/<str:name>              401 403 403 403 404 401 401
PUT    tracks/<str:track_id>/vectors/<str:name>              401 403 403 403 400 401 401
DELETE tracks/<str:track_id>/vectors/<str:name>              401 403 403 403 204 401 401
PUT    vectors/<str:name>                                    401 403 403 403 400 401 401
PUT    artists                                               401 403 403 403 400 401 401
GET    artists/<str:artist_id>                               401 200 200 403 200 401 401
GET    artists/<str:artist_id>/tracks                        401 200 200 403 200 401 401
GET    artists/<str:artist_id>/albums                        401 200 200 403 200 401 401
PUT    artists/<str:artist_id>                               401 403 403 403 200 401 401
DELETE artists/<str:artist_id>                               401 403 403 403 204 401 401
PUT    albums                                                401 403 403 403 400 401 401
GET    albums/<str:album_id>                                 401 404 404 403 404 401 401
GET    albums/<str:album_id>/tracks                          401 404 404 403 404 401 401
GET    new-releases                                          401 200 200 403 200 401 401
PUT    albums/<str:album_id>                                 401 403 403 403 404 401 401
DELETE albums/<str:album_id>                                 401 403 403 403 404 401 401
POST   events                                                401 400 400 403 400 401 401
POST   1/submit-listens                                      401 401 401 401 401 401 400
GET    1/validate-token                                      400 200 200 200 200 400 200
GET    1/user/<str:user_name>/listens                        {SCROBBLER}
GET    1/user/<str:user_name>/listen-count                   {SCROBBLER}
GET    1/user/<str:user_name>/playing-now                    {SCROBBLER}
GET    1/latest-import                                       {SCROBBLER}
POST   1/latest-import                                       {SCROBBLER}
GET    1/feedback/user/<str:user_name>/get-feedback          {SCROBBLER}
GET    1/feedback/user/<str:user_name>/get-feedback-for-recordings 401 401 401 401 401 401 400
POST   1/feedback/user/<str:user_name>/get-feedback-for-recordings 401 401 401 401 401 401 400
POST   1/feedback/recording-feedback                         401 401 401 401 401 401 400
GET    charts/tracks                                         401 200 200 403 200 401 401
GET    users/<str:user_id>/history                           401 404 200 403 200 401 401
GET    users/<str:user_id>/likes                             401 404 200 403 200 401 401
GET    users/<str:user_id>/dislikes                          401 404 200 403 200 401 401
GET    users/<str:user_id>/blocks                            401 404 200 403 200 401 401
GET    users/<str:user_id>/taste                             401 404 200 403 200 401 401
PUT    users/<str:user_id>/taste/sliders/<slider_kind:kind>/<str:target_id> 401 404 400 403 400 401 401
DELETE users/<str:user_id>/taste/sliders/<slider_kind:kind>/<str:target_id> 401 404 204 403 204 401 401
GET    users/<str:user_id>/taste/proposals                   401 404 200 403 200 401 401
DELETE users/<str:user_id>/taste/proposals/<str:proposal_id> 401 404 204 403 204 401 401
GET    users/<str:user_id>/taste/exclusions                  401 404 200 403 200 401 401
POST   users/<str:user_id>/taste/exclusions                  401 404 400 403 400 401 401
DELETE users/<str:user_id>/taste/exclusions/<int:exclusion_id> 401 404 204 403 204 401 401
GET    users/<str:user_id>/preferences                       401 404 200 403 200 401 401
PUT    users/<str:user_id>/likes/<str:track_id>              401 404 204 403 204 401 401
DELETE users/<str:user_id>/likes/<str:track_id>              401 404 204 403 204 401 401
PUT    users/<str:user_id>/dislikes/<str:track_id>           401 404 204 403 204 401 401
DELETE users/<str:user_id>/dislikes/<str:track_id>           401 404 204 403 204 401 401
PUT    users/<str:user_id>/blocks/<block_kind:kind>/<str:target_id> 401 404 204 403 204 401 401
DELETE users/<str:user_id>/blocks/<block_kind:kind>/<str:target_id> 401 404 204 403 204 401 401
GET    users/<str:user_id>/imports                           401 404 200 403 200 401 401
POST   users/<str:user_id>/imports                           401 404 400 403 400 401 401
GET    users/<str:user_id>/imports/<uuid:import_id>          401 404 404 403 404 401 401
GET    users/<str:user_id>                                   401 404 200 403 200 401 401
PATCH  users/<str:user_id>                                   401 404 200 403 409 401 401
DELETE users/<str:user_id>                                   401 404 409 403 409 401 401
GET    users/<str:user_id>/export                            401 404 200 403 200 401 401
POST   users/<str:user_id>/merge                             401 404 400 403 400 401 401
GET    erasures/<uuid:receipt>                               404 404 404 404 404 404 404
GET    engagement                                            {CLOSED}
GET    recommend/user/<str:user_id>/ml                       401 404 200 403 200 401 401
GET    recommend/user/<str:user_id>                          401 404 200 403 200 401 401
GET    recommend/similar/<str:track_id>                      401 200 200 403 200 401 401
GET    users/<str:user_id>/artists                           401 404 200 403 200 401 401
GET    users/<str:user_id>/genres                            401 404 200 403 200 401 401
GET    artists/<str:artist_id>/similar                       401 200 200 403 200 401 401
GET    recommend/genre/<path:name>                           401 404 404 403 404 401 401
GET    recommendations/<uuid:recommendation_id>/next         401 404 404 403 404 401 401
GET    path                                                  401 400 400 403 400 401 401
POST   radio                                                 401 400 400 403 400 401 401
GET    radio/<uuid:radio_id>                                 401 404 404 403 404 401 401
DELETE radio/<uuid:radio_id>                                 401 404 404 403 404 401 401
GET    radio/<uuid:radio_id>/next                            401 404 404 403 404 401 401
GET    users/<str:user_id>/mixes                             401 404 200 403 200 401 401
GET    users/<str:user_id>/home                              401 404 200 403 200 401 401
GET    training-runs                                         {CLOSED}
POST   training-runs                                         401 403 403 403 409 401 401
GET    training-runs/<int:training_run_id>                   401 403 403 403 404 401 401
POST   recommend/batch                                       401 400 400 403 400 401 401
POST   recommend/group                                       401 403 403 403 400 401 401
GET    api/similar_tracks                                    401 400 400 403 400 401 401
GET    api/similar_artists                                   401 400 400 403 400 401 401
GET    api/find_path                                         401 400 400 403 400 401 401
GET    metrics                                               {CLOSED}
GET    (root)                                                {OPEN}
GET    favicon.ico                                           302 302 302 302 302 302 302
GET    schema                                                {OPEN}
GET    schema/docs                                           {OPEN}
GET    health/live                                           {OPEN}
GET    health/ready                                          {OPEN}
"""
LINES = map(str.split, TABLE.strip().splitlines())
ROWS = [(method, route, [int(status) for status in statuses]) for method, route, *statuses in LINES]
QUERY = {
    "GET listeners": "?external_id=x:alice",
    "GET tracks": "?external_id=t:0",
    "GET 1/latest-import": "?user_name=alice",
    **{f"GET search{kind}": "?q=song" for kind in ("", "/tracks", "/artists", "/albums")},
    "POST users/<str:user_id>/imports": "?format=none",
}
METHODS = ("get", "post", "put", "patch", "delete")
Clients = dict[str, APIClient]


def flatten_routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from flatten_routes(pattern.url_patterns, route)
        else:
            yield route or "(root)", pattern.callback


def allowed_methods(view: Any) -> set[str]:
    """Return the methods of a viewset or an APIView; any other view only answers GET."""
    handled = getattr(view, "actions", None) or [m for m in METHODS if hasattr(getattr(view, "cls", None), m)]
    return {m.upper() for m in handled if m in METHODS} or {"GET"}


def all_routes() -> list[tuple[str, Any]]:
    return list(flatten_routes(get_resolver().url_patterns))


@pytest.fixture
def clients(
    catalogue: CatalogueFactory,
    alice: User,
    bob: User,
    as_listener: Callable[[User], APIClient],
    as_service_with: Callable[..., APIClient],
) -> Clients:
    """Return a client for each principal but "bare key", which differs per view. All of them request alice's data."""
    catalogue.tracks(1)
    alice.external_id, alice.is_staff = "x:alice", True  # the API does not erase staff, so that she stays
    alice.save()
    TrainingRun.objects.create(trigger="api", status="waiting")  # so that the table starts no other
    session, scrobbler = APIClient(), APIClient()
    session.force_login(User.objects.create_user("operator", is_staff=True, is_superuser=True))
    scrobbler.credentials(HTTP_AUTHORIZATION=f"Token {create_listen_token(alice.pk)}")
    listeners = {"nobody": APIClient(), "other": as_listener(bob), "own": as_listener(alice)}
    return listeners | {"key": as_service_with(*Scope.values), "staff": session, "scrobbler": scrobbler}


def fill_path(method: str, route: str, alice: User) -> str:
    track = str(Track.objects.get().pk)
    values = {
        "user_id": str(alice.pk),
        "external_id": "external:x:alice",
        "user_name": alice.username,
        "track_id": track,
        "artist_id": str(Track.objects.get().artist_id),
        "album_id": "999",
        "target_id": track,
        "kind": "track",
        "training_run_id": "0",
        "exclusion_id": "0",
        "slider_kind": "artist",
    }
    unknown = str(uuid.UUID(int=1))
    path = re.sub(r"<([^:>]+):(\w+)>", lambda match: values.get(match[1]) or values.get(match[2]) or unknown, route)
    return "/" + path.replace("(root)", "") + QUERY.get(f"{method} {route}", "")


def test_the_table_has_every_url_and_method() -> None:
    views = [(route, view) for route, view in all_routes() if not route.startswith("admin/")]
    served = {(method, route) for route, view in views for method in allowed_methods(view)}
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
    view_class = getattr(dict(all_routes())[route], "cls", None)
    write_scope = getattr(view_class, "write_scope", None) if method != "GET" else None
    scope = write_scope or getattr(view_class, "required_scope", None)
    clients["bare key"] = as_service_with(*(set(Scope.values) - {scope}))
    path = fill_path(method, route, alice)
    statuses = [clients[p].generic(method, path, b"{}", "application/json").status_code for p in PRINCIPALS]
    assert dict(zip(PRINCIPALS, statuses, strict=True)) == dict(zip(PRINCIPALS, expected, strict=True))


def test_other_methods_are_refused(clients: Clients, alice: User) -> None:
    for route, view in all_routes():
        if hasattr(view, "cls") and not route.startswith("admin/"):
            for method in {m.upper() for m in METHODS} - allowed_methods(view):
                status = (
                    clients["key"]
                    .generic(method, fill_path(method, route, alice), b"{}", "application/json")
                    .status_code
                )
                assert status in (401, 403, 405), f"{method} {route}"


def test_only_staff_may_use_the_admin(alice: User) -> None:
    """Every page redirects everybody else to the sign-in page."""
    listener = Client()
    listener.force_login(alice)
    pages = {route for route, _ in all_routes() if route.startswith("admin/")} - {"admin/login/", "admin/logout/"}
    assert len(pages) > 50
    for route in pages:
        path = "/" + re.sub(r"\^|\$|<[^>]+>|\(\?P<\w+>[^)]*\)", "1", route).replace("11", "1")
        for send in (Client().post, listener.get):
            answer = send(path)
            assert answer.status_code == 302, path
            assert answer["Location"].startswith("/admin/login/?next="), path
