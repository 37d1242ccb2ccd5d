import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from engine.retrieval import candidates
from musicrec.schema import PROBLEM, merge_alternatives
from recommendations.api.serializers import SOURCES


@pytest.fixture
def schema(db: None) -> dict[str, Any]:
    document: dict[str, Any] = APIClient().get("/schema").json()
    return document


def test_the_schema_is_generated_without_warnings_and_valid(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_it_is_openapi_3_1_with_the_frozen_paths_and_the_security_schemes(schema: dict[str, Any]) -> None:
    """`test_docs` compares all paths with the URLs and with the documentation."""
    assert schema["openapi"].startswith("3.1")
    frozen = {"/recommend/user/{user_id}/ml", "/recommend/similar/{track_id}", "/recommend/user/{user_id}"}
    assert frozen <= schema["paths"].keys()
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


def test_texts_that_may_be_empty_are_one_pattern(schema: dict[str, Any]) -> None:
    parameters = schema["paths"]["/recommend/user/{user_id}/ml"]["get"]["parameters"]
    schemas = {parameter["name"]: parameter["schema"] for parameter in parameters}
    market = {"type": "string", "default": "", "pattern": "^([A-Z]{2})?$"}
    placement = {"type": "string", "default": "", "pattern": r"^([\w.:-]{1,64})?$"}
    assert (schemas["market"], schemas["placement"]) == (market, placement)
    batch = schema["components"]["schemas"]["BatchRequest"]["properties"]
    assert (batch["market"].items() >= market.items(), batch["placement"].items() >= placement.items()) == (True, True)
    account = schema["components"]["schemas"]["AccountChangeRequest"]["properties"]["market"]
    assert account["pattern"] == "^([A-Z]{2})?$"
    assert '"maxLength": 0' not in json.dumps(schema)


@pytest.mark.one_stack
def test_other_alternatives_stay_as_they_are() -> None:
    alternatives = {"oneOf": [{"type": "string", "format": "email"}, {"type": "number"}]}
    document = {"components": {"schemas": {"Address": alternatives}}}
    assert merge_alternatives(json.loads(json.dumps(document))) == document


def test_enumerations_of_responses_are_texts_with_the_known_values(schema: dict[str, Any]) -> None:
    answer = schema["components"]["schemas"]["Answer"]["properties"]
    reasons = answer["fallback_reason"]
    assert (answer["strategy"]["type"], reasons["type"]) == ("string", ["string", "null"])
    assert answer["strategy"]["x-extensible-enum"] == [*SOURCES, "none"]
    assert answer["strategy"]["description"].endswith(f"`{SOURCES[-1]}`, `none`; others may be added.")
    assert reasons["x-extensible-enum"][0] == "no_model"
    job = schema["components"]["schemas"]["HistoryImport"]["properties"]["status"]
    assert job["x-extensible-enum"] == ["waiting", "running", "done", "failed"]
    event_type = schema["components"]["schemas"]["EventType"]
    assert "play_end" in event_type["enum"], "a request keeps its values"


def test_values_that_may_be_null_have_both_types(schema: dict[str, Any]) -> None:
    event = schema["components"]["schemas"]["Event"]["properties"]
    assert event["ms_played"]["type"] == ["integer", "null"]
    assert event["end_reason"]["anyOf"] == [{"$ref": "#/components/schemas/EndReason"}, {"type": "null"}]


def test_answers_can_be_validated_by_their_etag(schema: dict[str, Any]) -> None:
    operation = schema["paths"]["/recommend/user/{user_id}/ml"]["get"]
    assert [p["name"] for p in operation["parameters"] if p["in"] == "header"] == ["If-None-Match"]
    assert operation["responses"]["200"]["headers"].keys() == {"ETag"}
    assert "304" not in schema["paths"]["/recommend/batch"]["post"]["responses"]


IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import client
modules = [importlib.import_module(m.name) for m in pkgutil.walk_packages(client.__path__, "client.")]
print(len(modules))
"""


@pytest.mark.slow
@pytest.mark.one_stack
def test_a_generated_python_client_has_every_operation_and_can_be_imported(
    schema: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    generator = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    command = [*generator, "--path", "schema.json", "--output-path", "client"]
    generated = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert generated.returncode == 0, generated.stdout + generated.stderr
    operations = {operation["operationId"] for methods in schema["paths"].values() for operation in methods.values()}
    assert {path.stem for path in (tmp_path / "client/api").glob("*/*.py")} - {"__init__"} == operations
    imported = subprocess.run([sys.executable, "-c", IMPORT_ALL, tmp_path], capture_output=True, text=True)
    assert imported.returncode == 0, imported.stderr
    assert int(imported.stdout) > len(operations)
