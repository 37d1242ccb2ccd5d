"""Changes to the generated OpenAPI document: the error responses of all views, and texts that may be empty."""

import re
from typing import Any

from interactions.events.schema import event_batch_schema

PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "detail", "errors", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to do."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "`#/name` in the body, `?name`, or `{name}` in the path.",
                    },
                    "detail": {"type": "string"},
                },
            },
        },
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
BY_OPERATION = {
    "send_events": {"422": "This Idempotency-Key was sent before, with another body."},
    "like": {"409": "The listener's consent is off."},
    "dislike": {"409": "The listener's consent is off."},
    "sign_in": RATE_LIMITED,
    "import_history": {"409": "Consent is off, or three imports are unfinished."},
    "erase_listener": {"409": "It is an operator's account."},
}
SEARCH_PATHS = {"/tracks", "/listeners"}
WITH_BODY = {"413": "The body is too long.", "415": "The body is not JSON."}


def add_problem_responses(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add the problem schema and every operation's errors; a drf-spectacular postprocessing hook."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {"Problem": PROBLEM} | event_batch_schema()[1]
    for path, methods in result["paths"].items():
        if path.startswith("/1/"):  # its errors have ListenBrainz's format, which the views declare
            continue
        for operation in methods.values():
            errors = dict(EVERY_OPERATION)
            if operation.get("security"):
                errors |= AUTHENTICATED
            if "{" in path or path in SEARCH_PATHS:
                errors |= WITH_PATH_PARAMETER
            if "requestBody" in operation:
                errors |= WITH_BODY
            errors |= BY_OPERATION.get(operation["operationId"], {})
            for status, description in errors.items():
                content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
                operation["responses"][status] = {"description": description, "content": content}
            if path.startswith("/recommend/"):
                operation["responses"]["304"] = {
                    "description": "The response that `If-None-Match` names is still current."
                }
    return result


def merge_empty_texts(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Describe each text that matches a pattern or is empty by one pattern; a drf-spectacular postprocessing hook.

    drf-spectacular writes `oneOf` the pattern and the empty text, of which client generators make a class of its own.
    """
    pending: list[Any] = [result]
    while pending:
        node = pending.pop()
        pending += node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
        match node:
            case {"oneOf": [{"type": "string", "pattern": pattern} as text, {"type": "string", "maxLength": 0}]}:
                del node["oneOf"]
                if not re.search(pattern, ""):
                    text["pattern"] = f"^({pattern.removeprefix('^').removesuffix('$')})?$"
                node.update(text)
    return result
