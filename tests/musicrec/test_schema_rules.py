"""The rules that make clients generated from the OpenAPI document compile, and survive new values.

Each message of a failure says what to change. Most rules are fulfilled by `musicrec/schema.py` without doing anything.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from rest_framework.test import APIClient

# Words that begin an operationId. Add a verb if none of these says what the operation does.
VERBS = (
    "add|assign|cancel|change|create|delete|dislike|download|erase|export|find|follow|get|import|like|link|list|mark|"
    "merge|mint|read|recommend|refresh|register|remove|replace|revoke|search|send|set|sign|start|stop|submit|take|"
    "undislike|unlike|update|upsert|validate"
)
# Types of the languages and of their standard libraries, which a model with the same name would hide.
RESERVED_MODELS = {
    *("Any", "Array", "Bool", "Boolean", "Class", "Character", "Data", "Date", "Dictionary", "Double", "Enum", "Error"),
    *("Exception", "File", "Float", "Function", "Int", "Integer", "List", "Long", "Map", "Never", "Nothing", "Null"),
    *("Number", "Object", "Optional", "Promise", "Record", "Result", "Set", "String", "Symbol", "Type", "Unit"),
    *("Unknown", "Void"),
}
# Protocols of others, which name errors, fields and bodies in their own way.
FOREIGN = ("/1/", "/api/")


@pytest.fixture
def schema(db: None) -> dict[str, Any]:
    document: dict[str, Any] = APIClient().get("/schema").json()
    return document


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", path, operation


def nodes(root: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each object of a document with its JSON pointer."""
    if isinstance(root, dict):
        yield place, root
    members = root.items() if isinstance(root, dict) else enumerate(root) if isinstance(root, list) else ()
    for name, value in members:
        yield from nodes(value, f"{place}/{name}")


def referenced(root: Any, schema: dict[str, Any]) -> set[str]:
    """Return the names of the models that a part of the document uses, directly or through others."""
    names: set[str] = set()
    pending = [root]
    while pending:
        for _, node in nodes(pending.pop()):
            name = str(node.get("$ref", "")).removeprefix("#/components/schemas/")
            if name in schema["components"]["schemas"] and name not in names:
                names.add(name)
                pending.append(schema["components"]["schemas"][name])
    return names


def test_operation_ids_are_unique_and_name_a_verb_and_its_object(schema: dict[str, Any]) -> None:
    ids = [(where, operation["operationId"]) for where, _, operation in operations(schema)]
    repeated = [name for name, count in Counter(name for _, name in ids).items() if count > 1]
    assert not repeated, f"each operation needs an operation_id of its own in @extend_schema: {repeated}"
    wrong = [(where, name) for where, name in ids if not re.fullmatch(rf"({VERBS})(_[a-z0-9]+)+", name)]
    assert not wrong, f"set operation_id='verb_object' in @extend_schema, with a verb of VERBS: {wrong}"


def test_every_operation_has_one_section_that_is_described(schema: dict[str, Any]) -> None:
    sections = {tag["name"] for tag in settings.SPECTACULAR_SETTINGS["TAGS"]}
    wrong = [(where, o.get("tags")) for where, _, o in operations(schema) if len(set(o["tags"]) & sections) != 1]
    assert not wrong, f"set schema_tag of the view to one of {sorted(sections)}: {wrong}"
    assert [tag["name"] for tag in schema["tags"]] == [tag["name"] for tag in settings.SPECTACULAR_SETTINGS["TAGS"]]
    assert all(len(tag["description"]) > 10 for tag in schema["tags"])


def test_every_operation_has_a_summary(schema: dict[str, Any]) -> None:
    summaries = [(where, operation.get("summary", "")) for where, _, operation in operations(schema)]
    wrong = [(where, text) for where, text in summaries if not re.fullmatch(r"[A-Z`][^\n]{5,149}(?<!\.)", text)]
    assert not wrong, f"begin the handler's docstring with a sentence on one line, which becomes the summary: {wrong}"
    # The docstring of a class is used for a handler without one, and its summary is a noun phrase.
    repeated = [text for text, count in Counter(text for _, text in summaries).items() if count > 1]
    assert not repeated, f"two handlers have the same first sentence; write a docstring for each handler: {repeated}"


def test_the_document_names_the_server_it_came_from(schema: dict[str, Any]) -> None:
    assert schema["servers"] == [{"url": "http://testserver"}]


def test_a_request_body_is_required_and_has_one_media_type(schema: dict[str, Any]) -> None:
    bodies = [
        (where, operation["requestBody"]) for where, _, operation in operations(schema) if "requestBody" in operation
    ]
    assert not [where for where, body in bodies if body.get("required") is not True]
    wrong = [(where, list(body["content"])) for where, body in bodies if len(body["content"]) != 1]
    assert not wrong, (
        "generators make one method of several media types and mix them up; set request={'application/json': …} in "
        f"@extend_schema and describe the other type in the docstring: {wrong}"
    )
    generic = [
        where
        for where, body in bodies
        if "$ref" not in next(iter(body["content"].values()))["schema"] and "application/json" in body["content"]
    ]
    assert not generic, f"name the serializer of the body in @extend_schema(request=…): {generic}"


def test_successful_responses_have_a_model(schema: dict[str, Any]) -> None:
    wrong = []
    for where, _, operation in operations(schema):
        successes = {status: response for status, response in operation["responses"].items() if status.startswith("2")}
        if not successes:
            wrong.append((where, "no 2xx response"))
        for status, response in successes.items():
            content = response.get("content", {})
            if (not content) != (status == "204"):
                wrong.append((where, f"{status} has {'no' if not content else 'a'} body"))
            for media_type, body in content.items():
                model = body.get("schema", {})
                if "$ref" not in model and model.get("type") not in ("object", "array", "string"):
                    wrong.append((where, f"{media_type} of {status} is untyped"))
    assert not wrong, f"name the serializer of each status in @extend_schema(responses=…): {wrong}"


def test_every_response_is_described_and_errors_are_problems(schema: dict[str, Any]) -> None:
    wrong = []
    for where, path, operation in operations(schema):
        for status, response in operation["responses"].items():
            if not response.get("description"):
                wrong.append((where, f"{status} has no description"))
            expected = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
            if status >= "400" and not path.startswith(FOREIGN) and response.get("content") != expected:
                wrong.append((where, f"{status} is not a Problem; describe it in BY_OPERATION of musicrec/schema.py"))
    assert not wrong, wrong


def test_models_are_not_named_like_types_of_the_languages(schema: dict[str, Any]) -> None:
    names = set(schema["components"]["schemas"])
    wrong = names & RESERVED_MODELS | {name for name in names if not re.fullmatch(r"[A-Z][A-Za-z0-9]+", name)}
    assert not wrong, f"give the serializer another class name, or @extend_schema_serializer(component_name=…): {wrong}"
    # Dart and Python name the files of models in lower case, and some file systems fold the case as well.
    assert len({name.lower() for name in names}) == len(names)


def test_responses_have_no_closed_enumerations(schema: dict[str, Any]) -> None:
    models = referenced([operation["responses"] for _, _, operation in operations(schema)], schema)
    wrong = []
    for name in models:
        wrong += [f"{name}{place}" for place, node in nodes(schema["components"]["schemas"][name]) if "enum" in node]
    assert not wrong, f"a new value breaks installed apps; open_response_enums in musicrec/schema.py missed {wrong}"


def test_values_have_no_alternatives_that_become_classes(schema: dict[str, Any]) -> None:
    """`oneOf` is allowed for a model or null, which all generators understand as an optional model."""
    wrong = []
    for place, node in nodes(schema):
        for keyword in ("oneOf", "anyOf"):
            alternatives = node.get(keyword)
            if isinstance(alternatives, list) and not (
                len(alternatives) == 2 and "$ref" in alternatives[0] and alternatives[1] == {"type": "null"}
            ):
                wrong.append(f"{place}/{keyword}")
        types = node.get("type")
        if isinstance(types, list) and not (len(types) == 2 and types[1] == "null"):
            wrong.append(f"{place}/type {types}")
    assert not wrong, f"use one type, which may be null; accept others in the code and in words: {wrong}"


def test_every_parameter_and_property_has_a_type(schema: dict[str, Any]) -> None:
    wrong = []
    for where, _, operation in operations(schema):
        parameters = operation.get("parameters", [])
        wrong += [f"{where} {p['name']}" for p in parameters if not {"type", "$ref"} & p["schema"].keys()]
    typed = {"type", "$ref", "oneOf", "anyOf", "allOf"}
    for name, model in schema["components"]["schemas"].items():
        fields = model.get("properties", {}).items()
        wrong += [f"{name}.{field}" for field, value in fields if not typed & value.keys()]
    assert not wrong, f"use a typed serializer field, or @extend_schema_field: {wrong}"


def test_names_are_in_snake_case(schema: dict[str, Any]) -> None:
    """Generators turn snake_case into the style of each language; other names collide or are escaped."""
    own = referenced([operation for _, path, operation in operations(schema) if not path.startswith(FOREIGN)], schema)
    wrong = [
        f"{name}.{field}"
        for name in own
        for field in schema["components"]["schemas"][name].get("properties", {})
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", field)
    ]
    for where, path, operation in operations(schema):
        wrong += [
            f"{where} {parameter['name']}"
            for parameter in operation.get("parameters", [])
            if parameter["in"] != "header" and not path.startswith(FOREIGN)
            if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", parameter["name"])
        ]
    assert not wrong, f"write names in snake_case: {wrong}"


def test_integers_have_64_bits_unless_they_are_limited(schema: dict[str, Any]) -> None:
    wrong = [
        place
        for place, node in nodes(schema)
        if node.get("type") in ("integer", ["integer", "null"])
        and node.get("maximum", 2**31) >= 2**31
        and "format" not in node
    ]
    assert not wrong, wrong


def test_operations_for_service_keys_only_do_not_offer_listener_tokens(schema: dict[str, Any]) -> None:
    security = schema["paths"]["/engagement"]["get"]["security"]
    assert security == [{"ServiceKey": []}]
