"""The Postman collection is complete, and what it sends fits the OpenAPI document."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from rest_framework.test import APIClient

from clients.collection import SCHEMA, postman_collection


@pytest.fixture
def document(db: None) -> dict[str, Any]:
    response: dict[str, Any] = APIClient().get("/schema").json()
    return response


@pytest.fixture
def requests(document: dict[str, Any]) -> dict[str, Any]:
    collection = json.loads(json.dumps(postman_collection(document)))
    return {item["id"]: item for folder in collection["item"] for item in folder["item"]}


def test_it_has_every_operation_in_a_folder_by_section(document: dict[str, Any]) -> None:
    collection = postman_collection(document)
    assert collection["info"] == {
        "name": "musicrec",
        "description": "Recommendations for each listener, and tracks similar to a track.",
        "schema": SCHEMA,
    }
    expected: dict[str, set[str]] = {}
    for methods in document["paths"].values():
        for operation in methods.values():
            expected.setdefault(operation["tags"][0], set()).add(operation["operationId"])
    assert {folder["name"]: {item["id"] for item in folder["item"]} for folder in collection["item"]} == expected


def test_a_request_names_its_path_and_parameters_and_sends_only_the_required_ones(requests: dict[str, Any]) -> None:
    url = requests["recommend_tracks"]["request"]["url"]
    assert url["raw"] == "{{base_url}}/recommend/user/:user_id/ml"
    assert [(variable["key"], variable["value"]) for variable in url["variable"]] == [("user_id", "me")]
    assert {field["key"] for field in url["query"]} >= {"limit", "explain", "market"}
    assert all(field["disabled"] for field in url["query"])
    assert requests["read_engagement"]["request"]["method"] == "GET"


def test_requests_send_the_token_that_signing_in_stores(requests: dict[str, Any]) -> None:
    authorization = {"key": "Authorization", "value": "{{authorization}}"}
    assert authorization in requests["recommend_tracks"]["request"]["header"]
    assert authorization not in requests["sign_in"]["request"]["header"]
    script = "\n".join(requests["sign_in"]["event"][0]["script"]["exec"])
    assert 'pm.collectionVariables.set("authorization", `Bearer ${tokens.access}`)' in script
    assert json.loads(requests["refresh_token"]["request"]["body"]["raw"]) == {"refresh": "{{refresh}}"}


def test_example_bodies_fit_the_schema(document: dict[str, Any], requests: dict[str, Any]) -> None:
    checked = 0
    for methods in document["paths"].values():
        for operation in methods.values():
            for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
                if media_type == "application/json":
                    example = json.loads(requests[operation["operationId"]]["request"]["body"]["raw"])
                    Draft202012Validator({**body["schema"], "components": document["components"]}).validate(example)
                    checked += 1
    assert checked >= 8
