from typing import Any

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from engine.retrieval import candidates
from musicrec.schema import PROBLEM
from recommendations.api.serializers import SOURCES


@pytest.fixture
def schema(db: None) -> dict[str, Any]:
    document: dict[str, Any] = APIClient().get("/schema").json()
    return document


def test_the_schema_is_generated_without_warnings_and_valid(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_it_is_openapi_3_1_with_every_endpoint_and_security_scheme(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    assert schema["paths"].keys() == {
        "/1/submit-listens",
        "/1/validate-token",
        "/erasures/{receipt}",
        "/engagement",
        "/events",
        "/listeners",
        "/recommend/batch",
        "/recommend/similar/{track_id}",
        "/recommend/user/{user_id}",
        "/recommend/user/{user_id}/ml",
        "/token",
        "/token/refresh",
        "/token/revoke",
        "/tracks",
        "/tracks/{track_id}",
        "/users/{user_id}",
        "/users/{user_id}/blocks/{kind}/{target_id}",
        "/users/{user_id}/dislikes/{track_id}",
        "/users/{user_id}/export",
        "/users/{user_id}/imports",
        "/users/{user_id}/imports/{import_id}",
        "/users/{user_id}/likes/{track_id}",
        "/users/{user_id}/preferences",
    }
    assert schema["components"]["securitySchemes"].keys() == {"ServiceKey", "ListenerToken", "ListenToken"}


def test_operations_list_their_errors(schema: dict[str, Any]) -> None:
    responses = {path: set(next(iter(methods.values()))["responses"]) for path, methods in schema["paths"].items()}
    assert responses["/recommend/user/{user_id}/ml"] == {"200", "304", "400", "401", "403", "404", "429", "503"}
    assert responses["/events"] == {"202", "400", "401", "403", "413", "415", "422", "429", "503"}
    assert responses["/token"] == {"200", "400", "401", "413", "415", "429", "503"}


@pytest.mark.usefixtures("db")
def test_a_problem_document_has_the_fields_in_the_schema() -> None:
    assert APIClient().get("/tracks/1").json().keys() == set(PROBLEM["required"])


def test_the_sources_in_the_schema_are_those_of_the_engine() -> None:
    assert set(SOURCES) == {*candidates.SOURCES, "content"}
