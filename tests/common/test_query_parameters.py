"""Unknown query parameters are refused by every endpoint of the API, as its OpenAPI document says."""

import re
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient
from rest_framework.views import APIView

from access.models import User
from common.http.query_parameters import ApiView, check_names
from recommendations.api.query_parameters import parse_query
from tests.conftest import as_service, assert_problem

PATH_VALUES = dict.fromkeys(
    ("{receipt}", "{import_id}", "{recommendation_id}", "{radio_id}"), "00000000-0000-4000-8000-000000000000"
)
PATH_VALUES |= {"{kind}": "artist"}
# Paths with other conventions: ListenBrainz, AudioMuse-AI, the OpenAPI document, probes and Prometheus.
FOREIGN = ("/1/", "/api/")
IGNORING = {"schema", "docs", "live", "ready", "metrics"}


def test_every_operation_refuses_unknown_parameters_and_lists_those_of_its_schema(
    service: APIClient, alice: User
) -> None:
    schema: dict[str, Any] = APIClient().get("/schema").json()
    operations = 0
    for template, methods in schema["paths"].items():
        if template.startswith(FOREIGN):
            continue
        path = template.replace("{user_id}", str(alice.pk))
        path = re.sub(r"\{\w+\}", lambda name: PATH_VALUES.get(name[0], "1"), path)
        for method, operation in methods.items():
            documented = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
            response = service.generic(method.upper(), f"{path}?page=2&offset=20", "[]", "application/json")
            errors = assert_problem(response, 400)["errors"]
            assert [error["pointer"] for error in errors] == ["?page", "?offset"], path
            reason, _, accepted = errors[0]["detail"].partition("; this endpoint accepts ")
            assert reason == "unknown parameter"
            assert set(accepted.split(", ")) == (documented or {"none"}), path
            operations += 1
    assert operations > 20
    assert User.objects.filter(pk=alice.pk).exists()


@pytest.mark.one_stack
def test_views_that_ignore_unknown_parameters_are_the_known_exceptions() -> None:
    def views(patterns: list[Any]) -> Any:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from views(pattern.url_patterns)
            elif isinstance(pattern, URLPattern) and issubclass(getattr(pattern.callback, "cls", object), APIView):
                yield pattern

    others = [view for view in views(get_resolver().url_patterns) if not issubclass(view.callback.cls, ApiView)]
    assert {view.name for view in others if not f"/{view.pattern}".startswith(FOREIGN)} == IGNORING


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("limit=5&limit=6", {"?limit": "is sent 2 times; send it once"}),
        ("Limit=5", {"?Limit": "unknown parameter; this endpoint accepts "}),
        ("limit[]=5", {"?limit[]": "unknown parameter; this endpoint accepts "}),
        ("page", {"?page": "unknown parameter; this endpoint accepts "}),
        ("=1", {"?": "unknown parameter; this endpoint accepts "}),
        ("%C3%A9=1", {"?é": "unknown parameter; this endpoint accepts "}),
        ("%00=1", {"?\0": "unknown parameter; this endpoint accepts "}),
        ("limit=0&page=1", {"?page": "unknown parameter; this endpoint accepts "}),
    ],
)
def test_repeated_and_misspelled_parameters_are_refused(
    service: APIClient, alice: User, query: str, errors: dict[str, str]
) -> None:
    for path in (f"/recommend/user/{alice.pk}/ml", f"/recommend/user/{alice.pk}"):
        for _ in range(2):  # a refusal must not depend on the cache of parsed query strings
            body = assert_problem(service.generic("GET", path, QUERY_STRING=query), 400)
            details = {error["pointer"]: error["detail"] for error in body["errors"]}
            assert details.keys() == errors.keys()
            assert all(details[pointer].startswith(detail) for pointer, detail in errors.items())


def test_long_and_many_unknown_names_are_cut_off(service: APIClient, alice: User) -> None:
    query = "&".join(f"{'x' * 200}{n}=1" for n in range(15))
    body = assert_problem(service.generic("GET", f"/recommend/user/{alice.pk}", QUERY_STRING=query), 400)
    assert [error["pointer"] for error in body["errors"]] == ["?" + "x" * 100]


def test_a_very_long_query_string_is_refused_and_not_cached(service: APIClient, alice: User) -> None:
    cached = check_names.cache_info().currsize + parse_query.cache_info().currsize
    query = "placement=" + "+" * 5000  # only spaces, which do not belong to a value
    body = assert_problem(service.generic("GET", f"/recommend/user/{alice.pk}", QUERY_STRING=query), 400)
    assert [e["detail"] for e in body["errors"]] == ["the query string has 5010 characters; it may have 4096"]
    assert check_names.cache_info().currsize + parse_query.cache_info().currsize == cached


def test_a_wrong_value_is_answered_with_what_is_allowed(service: APIClient, alice: User) -> None:
    problem = assert_problem(service.get(f"/recommend/user/{alice.pk}/ml?explain=perhaps"), 400)
    assert problem["errors"] == [{"pointer": "?explain", "detail": "must be true or false"}]


def test_access_is_checked_first(alice: User) -> None:
    path = f"/recommend/user/{alice.pk}/ml?page=1"
    assert_problem(APIClient().get(path), 401)
    assert_problem(as_service("events").get(path), 403)


def test_head_accepts_what_get_accepts_and_options_anything(service: APIClient, alice: User) -> None:
    path = f"/recommend/user/{alice.pk}"
    assert service.head(f"{path}?limit=5").status_code == 200
    assert service.head(f"{path}?page=5").status_code == 400
    assert service.options(f"{path}?page=5").status_code == 200
    assert service.post(f"{path}?page=5").status_code == 405


def test_other_conventions_ignore_unknown_parameters(service: APIClient) -> None:
    assert service.get("/1/validate-token?token=x&client=y").json()["valid"] is False
    for path in ("/health/live", "/health/ready", "/metrics", "/schema"):
        assert service.get(f"{path}?page=1").status_code == 200
