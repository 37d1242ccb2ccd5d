"""Changes to the generated OpenAPI document, after which common generators make clients of it that compile.

`tests/musicrec/test_schema_rules.py` checks the outcome for every operation.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from interactions.events.schema import event_components

INT32_MAX = 2**31 - 1
REFERENCE = "#/components/schemas/"

FIELD_PROBLEM = {
    "type": "object",
    "description": "One field or parameter that is wrong.",
    "required": ["pointer", "detail"],
    "properties": {
        "pointer": {"type": "string", "description": "`#/name` in the body, `?name`, or `{name}` in the path."},
        "detail": {"type": "string"},
    },
}
PROBLEM = {
    "type": "object",
    "description": "The body of every error, as in RFC 9457.",
    "required": ["type", "title", "status", "detail", "errors", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "format": "int32"},
        "detail": {"type": "string", "description": "What is wrong and what to do."},
        "errors": {"type": "array", "items": {"$ref": f"{REFERENCE}FieldProblem"}},
        "request_id": {"type": "string", "description": "The id of the request in the log."},
    },
}
EVERY_OPERATION = {
    "400": "The request is invalid; `errors` says where.",
    "401": "Credentials are missing, unknown or expired.",
    "503": "The database does not answer; `Retry-After` says when to try again.",
}
RATE_LIMITED = {"429": "More requests than the limit; `Retry-After` says when to try again."}
AUTHENTICATED = {"403": "The service key lacks the scope."} | RATE_LIMITED
WITH_PATH_PARAMETER = {"404": "It does not exist, or it is another listener's."}
WITH_LISTENER = {"404": "The listener that it names is not the token's own."}
BY_OPERATION = {
    "send_events": {"422": "This Idempotency-Key was sent before, with another body."},
    "find_track_path": {"404": "A track is not in the catalogue, or the listener is not the token's own."},
    "like_track": {"409": "The listener's consent is off."},
    "dislike_track": {"409": "The listener's consent is off."},
    "start_training_run": {"409": "Another training run has not finished."},
    "sign_in": RATE_LIMITED,
    "sign_in_device": {"403": "Listening without an account is turned off."} | RATE_LIMITED,
    "import_history": {"409": "Consent is off, or three imports are unfinished."},
    "mint_token": {
        "403": "The service key lacks the scope, or it is an operator's account.",
        "409": "The number is the user_id of one listener and the external id of another.",
    },
    "merge_device": {"409": "It was merged into another account, or consent is off."},
    "change_listener": {"409": "It is an operator's account, which a service key cannot change."},
    "upsert_listener": {"409": "It is an operator's account, or the listener was erased."},
    "erase_listener": {"409": "It is an operator's account."},
}
BY_OPERATION |= dict.fromkeys(("start_radio", "recommend_batch"), WITH_LISTENER)
SEARCH_PATHS = {"/tracks", "/listeners"}
FOREIGN_PROTOCOLS = ("/1/", "/api/")  # of ListenBrainz and of AudioMuse-AI
WITH_BODY = {"413": "The body is too long.", "415": "The body is not JSON."}
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "format": "int32"}}}
ETAG = {"ETag": {"description": "Send it as `If-None-Match` with the next request.", "schema": {"type": "string"}}}
IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "schema": {"type": "string"},
    "description": "The `ETag` of the answer that the client has. If it is still current, the response is a 304.",
}


def add_problem_responses(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add the problem schema, every operation's errors, and validation by `ETag`."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {"Problem": PROBLEM, "FieldProblem": FIELD_PROBLEM} | event_components()
    for path, method, operation in _operations(result):
        if path.startswith(FOREIGN_PROTOCOLS):  # their errors have formats of their own, which the views declare
            continue
        errors = dict(EVERY_OPERATION)
        if operation.get("security"):
            errors |= AUTHENTICATED
        if "{" in path or path in SEARCH_PATHS:
            errors |= WITH_PATH_PARAMETER
        if "requestBody" in operation:
            errors |= WITH_BODY
        errors |= BY_OPERATION.get(operation["operationId"], {})
        for status, description in errors.items():
            content = {"application/problem+json": {"schema": {"$ref": f"{REFERENCE}Problem"}}}
            headers = {"headers": RETRY_AFTER} if status in ("429", "503") else {}
            operation["responses"][status] = {"description": description, **headers, "content": content}
        if path.startswith(("/recommend/", "/recommendations/")) and method == "get":
            operation["parameters"].append(IF_NONE_MATCH)
            operation["responses"]["200"]["headers"] = ETAG
            operation["responses"]["304"] = {"description": "The answer that `If-None-Match` names is still current."}
    return result


def merge_alternatives(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Describe values that may be empty or null without alternatives, of which generators make classes of their own."""
    for node in _nodes(result):
        for keyword in ("oneOf", "anyOf"):
            alternatives = node.get(keyword)
            match alternatives:
                case [
                    {"type": "string" | ["string", "null"], "pattern": pattern} as text,
                    {"type": "string", "maxLength": 0},
                ]:
                    del node[keyword]
                    if not re.search(pattern, ""):
                        text["pattern"] = f"^({pattern.removeprefix('^').removesuffix('$')})?$"
                    node.update(text)
                case [value, {"type": "null"} | {"$ref": "#/components/schemas/NullEnum"}]:
                    if isinstance(value.get("type"), str):
                        del node[keyword]
                        node |= {**value, "type": [value["type"], "null"]}
                        if "enum" in value:
                            node["enum"] = [*value["enum"], None]
                    else:
                        node[keyword] = [value, {"type": "null"}]
                    if node.get("default", "") is None:
                        del node["default"]  # absent and null mean the same
    result["components"]["schemas"].pop("NullEnum", None)
    return result


def open_response_enums(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Turn the enumerations of responses into texts that list the known values.

    Generated clients fail to decode a value that their enumeration does not have. As texts, values can be added without
    breaking the apps that are installed. Requests keep their enumerations.
    """
    schemas = result["components"]["schemas"]
    responses = [operation["responses"] for _, _, operation in _operations(result)]
    roots = [*responses, *(schemas[name] for name in _referenced(responses, schemas) if "enum" not in schemas[name])]
    for node in _nodes(roots):
        match node:
            case {"oneOf": [value, {"type": "null"}]} if "enum" in (enum := _resolve(value, schemas)):
                del node["oneOf"]
                node |= {"type": ["string", "null"], "enum": enum["enum"]}
            case {"allOf": [value]} if "enum" in (enum := _resolve(value, schemas)):
                del node["allOf"]
                node |= {"type": "string", "enum": enum["enum"]}
            case {"$ref": _} if "enum" in (enum := _resolve(node, schemas)):
                del node["$ref"]
                node |= {"type": "string", "enum": enum["enum"]}
        if isinstance(node.get("enum"), list):
            values = [value for value in node.pop("enum") if value is not None]
            known = f"One of {', '.join(f'`{value}`' for value in values)}; others may be added."
            description = node.get("description", "")
            node["description"] = known if description.startswith("* `") else f"{description} {known}".strip()
            node["x-extensible-enum"] = values
    return result


def complete_document(result: dict[str, Any], request: Any = None, **kwargs: Any) -> dict[str, Any]:
    """Fill in what generators need: the server, required bodies, the size of integers, and descriptions of responses.

    The address of the server is the one that the document is requested from, and relative in a file.
    """
    result["servers"] = [{"url": request.build_absolute_uri("/").rstrip("/") if request else "/"}]
    for _, _, operation in _operations(result):
        # Generated clients and Swagger UI print the description after the summary.
        description = operation.get("description", "").removeprefix(f"{operation.get('summary')}.").strip()
        operation.pop("description", None)
        operation |= {"description": description} if description else {}
        if "requestBody" in operation:
            operation["requestBody"]["required"] = True
        for status, response in operation["responses"].items():
            response["description"] = response.get("description") or HTTPStatus(int(status)).phrase
    for node in _nodes(result):
        type_ = node.get("type")
        if (type_ == "integer" or type_ == ["integer", "null"]) and node.get("maximum", INT32_MAX + 1) > INT32_MAX:
            node.setdefault("format", "int64")  # Kotlin and Swift take 32 bits otherwise
        if isinstance(node.get("enum"), list) and all(isinstance(value, str) for value in node["enum"]):
            node.setdefault("type", "string")
    schemas = result["components"]["schemas"]
    for name in schemas.keys() - _referenced(result["paths"], schemas):
        del schemas[name]
    return result


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _nodes(root: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects of a document. An object is yielded before its members, so that the caller may replace them."""
    pending = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending += node.values()
        elif isinstance(node, list):
            pending += node


def _resolve(node: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the component that an object refers to, or the object itself."""
    component: dict[str, Any] = schemas.get(node.get("$ref", "").removeprefix(REFERENCE), node)
    return component


def _referenced(root: Any, schemas: dict[str, Any]) -> set[str]:
    """Return the names of the components that a part of the document refers to, directly or through others."""
    names: set[str] = set()
    pending = [root]
    while pending:
        for node in _nodes(pending.pop()):
            name = str(node.get("$ref", "")).removeprefix(REFERENCE)
            if name in schemas and name not in names:
                names.add(name)
                pending.append(schemas[name])
    return names
