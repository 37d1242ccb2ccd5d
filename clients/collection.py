"""A Postman collection made from the OpenAPI document: one request per operation, in folders by section.

Bruno, Insomnia and Hoppscotch import it as well. *Exchange a user name and password for tokens* stores the token, which
the other requests send; to use a service key, set the variable `authorization` to `Api-Key KEY`.
"""

import json
import re
from typing import Any
from urllib.parse import urlencode

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
STORE_TOKENS = """\
const tokens = pm.response.json();
pm.collectionVariables.set("authorization", `Bearer ${tokens.access}`);
pm.collectionVariables.set("refresh", tokens.refresh);"""
BODIES: dict[str, Any] = {
    "refresh_token": {"refresh": "{{refresh}}"},
    "sign_out": {"refresh": "{{refresh}}"},
    "recommend_tracks_to_group": {"listeners": ["external:4711", "external:4712"]},
    "recommend_batch": {"shelves": [{"name": "for-you", "kind": "personal"}, {"name": "popular", "kind": "popular"}]},
}
# Values of parameters and of texts in bodies by name, and of texts by format.
PARAMETERS = {"user_id": "me", "external_id": "external:4711"}
EXAMPLES = {
    "market": "DE",
    "markets": "DE",
    "name": "home",
    **dict.fromkeys(("external_id", "track_id", "user_id"), "external:4711"),
}
FORMATS = {
    "date-time": "2026-11-30T12:00:00Z",
    "date": "2026-11-30",
    "uuid": "6f1c2a34-0000-4000-8000-000000000001",
    "uri": "https://example.com/1",
}


def postman_collection(document: dict[str, Any]) -> dict[str, Any]:
    """Return the collection, in format 2.1."""
    folders: dict[str, dict[str, Any]] = {
        tag["name"]: {"name": tag["name"], "description": tag["description"], "item": []} for tag in document["tags"]
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            folders[operation["tags"][0]]["item"].append(_item(document, path, method, operation))
    server = document["servers"][0]["url"]
    return {
        "info": {
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "schema": SCHEMA,
        },
        "variable": [
            {"key": "base_url", "value": server if "://" in server else "http://127.0.0.1:8000"},
            {"key": "authorization", "value": ""},
            {"key": "refresh", "value": ""},
        ],
        "item": [folder for folder in folders.values() if folder["item"]],
    }


def _item(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    """Return one request; optional parameters are listed, but not sent until they are ticked."""
    fields: dict[str, list[dict[str, Any]]] = {"header": [], "query": [], "path": []}
    for parameter in operation.get("parameters", []):
        value = PARAMETERS.get(parameter["name"]) or _example(document, parameter["schema"], parameter["name"])
        field = {
            "key": parameter["name"],
            "value": str(value).lower() if isinstance(value, bool) else str(value),
            "description": parameter.get("description", ""),
        }
        optional = {"disabled": True} if not parameter.get("required") else {}
        fields[parameter["in"]].append(field | optional)
    if operation.get("security"):
        fields["header"].insert(0, {"key": "Authorization", "value": "{{authorization}}"})
    sent = {field["key"]: field["value"] for field in fields["query"] if "disabled" not in field}
    postman_path = re.sub(r"\{(\w+)\}", r":\1", path)
    request: dict[str, Any] = {
        "method": method.upper(),
        "description": operation.get("description", ""),
        "header": fields["header"],
        "url": {
            "raw": "{{base_url}}" + postman_path + (f"?{urlencode(sent)}" if sent else ""),
            "host": ["{{base_url}}"],
            "path": postman_path.removeprefix("/").split("/"),
            "query": fields["query"],
            "variable": fields["path"],
        },
    }
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        if media_type == "multipart/form-data":
            properties = _resolve(document, body["schema"])["properties"]
            form = [{"key": name, "type": "file", "src": []} for name in properties]
            request["body"] = {"mode": "formdata", "formdata": form}
        else:
            request["header"].append({"key": "Content-Type", "value": media_type})
            example = BODIES.get(operation["operationId"]) or _example(document, body["schema"])
            raw = json.dumps(example, indent=2, ensure_ascii=False)
            request["body"] = {"mode": "raw", "raw": raw, "options": {"raw": {"language": "json"}}}
    item: dict[str, Any] = {"name": operation["summary"], "id": operation["operationId"], "request": request}
    if operation["operationId"] in ("sign_in", "refresh_token"):
        script = {"type": "text/javascript", "exec": STORE_TOKENS.splitlines()}
        item["event"] = [{"listen": "test", "script": script}]
    return item


def _example(document: dict[str, Any], schema: dict[str, Any], name: str = "") -> Any:
    """Return a value that fits a schema: of an object its required properties, or all if none is required."""
    schema = _resolve(document, schema)
    kind = schema["type"][0] if isinstance(schema.get("type"), list) else schema.get("type")
    if schema.get("default", "") != "":
        return schema["default"]
    if "example" in schema or "examples" in schema:
        return schema.get("example") or schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        properties = schema.get("properties", {})
        return {key: _example(document, properties[key], key) for key in schema.get("required", properties)}
    if kind == "array":
        return [_example(document, schema["items"], name)]
    if kind == "string":
        return EXAMPLES.get(name) or FORMATS.get(schema.get("format", ""), name)
    return {"integer": max(1, schema.get("minimum", 1)), "number": schema.get("minimum", 0.5), "boolean": True}[
        str(kind)
    ]


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the model that a schema refers to; of alternatives the first, because the other one is null."""
    for keyword in ("allOf", "oneOf", "anyOf"):
        if keyword in schema:
            return _resolve(document, schema[keyword][0])
    if "$ref" in schema:
        return _resolve(document, document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    return schema
