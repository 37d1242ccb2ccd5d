"""What the OpenAPI document adds to what the views say: every operation's errors, in the one form they have."""

from typing import Any

from interactions.events.schema import event_batch_schema as events_schema

PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "detail", "errors", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, and the remedy."},
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
        "request_id": {"type": "string", "description": "Finds the request in the log."},
    },
}
ALWAYS = {
    "400": "The request is not as it should be.",
    "401": "Credentials are missing, unknown or expired.",
    "503": "The database is away; `Retry-After` says when to come back.",
}
TOO_MANY = {"429": "More requests than the limit; `Retry-After` says when to come back."}
CLOSED = {"403": "The service key lacks the scope."} | TOO_MANY
WITH_ID = {"404": "There is no such thing, or it is another listener's."}
ALSO = {  # by operation
    "send_events": {"422": "This Idempotency-Key was sent before, with another body."},
    "like": {"409": "The listener's consent is off."},
    "dislike": {"409": "The listener's consent is off."},
    "sign_in": TOO_MANY,
    "import_history": {"409": "Consent is off, or three imports are unfinished."},
    "erase_listener": {"409": "It is an operator's account."},
}
FINDERS = {"/tracks", "/listeners"}
WITH_BODY = {"413": "The body is too long.", "415": "The body is of another kind than JSON."}


def add_problem_responses(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """A drf-spectacular postprocessing hook."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {"Problem": PROBLEM} | events_schema()[1]
    for path, methods in result["paths"].items():
        if path.startswith("/1/"):  # errors in the form of ListenBrainz, as the views say
            continue
        for operation in methods.values():
            said = ALWAYS | (CLOSED if operation.get("security") else {})
            said |= (WITH_ID if "{" in path or path in FINDERS else {}) | (
                WITH_BODY if "requestBody" in operation else {}
            )
            said |= ALSO.get(operation["operationId"], {})
            for status, description in said.items():
                content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
                operation["responses"][status] = {"description": description, "content": content}
            if path.startswith("/recommend/"):
                operation["responses"]["304"] = {"description": "The slate of `If-None-Match` is still the answer."}
    return result
