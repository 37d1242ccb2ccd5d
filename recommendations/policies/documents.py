"""Policies as JSON: the content of a row of `policies`, exported files, and the difference between two of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from engine.pipeline import Policy, check_sources

UNREADABLE = (ValueError, TypeError)  # what reading a document of another release may raise


def parse_policy(name: str, version: int, content: Any) -> Policy:
    """Build a policy from the content of a row.

    Raises:
        ValueError: a field is unknown to this release, missing or wrong; the message begins with the field.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"content: must be a JSON object, not {type(content).__name__}")
    policy = Policy.from_dict({**content, "name": name, "version": version})
    check_sources(policy)
    return policy


def read_policy_file(file: Path) -> Policy:
    """Read an exported policy.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not JSON, or a field is unknown to this release, missing or wrong.
    """
    policy = Policy.from_dict(orjson.loads(file.read_bytes()))
    check_sources(policy)
    return policy


def policy_content(policy: Policy) -> dict[str, Any]:
    """Return the content of a row; name and version are columns of their own."""
    return {name: value for name, value in policy.to_dict().items() if name not in ("name", "version")}


def list_fields(policy: Policy) -> dict[str, str]:
    """Return every field of a policy as text, by its path, such as "dials.diversity"."""
    return dict(_flatten("", policy_content(policy)))


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flatten(f"{prefix}.{name}".lstrip("."), item)
    elif prefix == "sources":
        for number, item in enumerate(value):
            yield f"sources.{item['source']}", f"{item['weight']:g}" + (" (main)" if number == 0 else "")
    elif isinstance(value, list):
        yield prefix, ", ".join(map(str, value)) or "–"
    elif isinstance(value, bool):
        yield prefix, "yes" if value else "no"
    else:
        yield prefix, f"{value:g}"


def compare_policies(old: Policy, new: Policy) -> list[tuple[str, str, str]]:
    """Return the fields in which two policies differ, each with both values as text."""
    before, after = list_fields(old), list_fields(new)
    paths = dict.fromkeys([*before, *after])
    return [
        (path, before.get(path, "–"), after.get(path, "–")) for path in paths if before.get(path) != after.get(path)
    ]
