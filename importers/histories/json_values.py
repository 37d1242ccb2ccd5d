"""Values of records that name their track, from JSON: text that a database takes, whole numbers, ids."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from importers.cell_parsers import MAX_INTEGER, MAX_NAME_LENGTH
from importers.errors import BadValue

MAX_MS = 86_400_000  # a day


def require_text(field: str, value: Any) -> str:
    """Text of 1 to 512 characters, without white space around it."""
    if not isinstance(value, str) or not (name := value.strip()) or len(name) > MAX_NAME_LENGTH:
        raise BadValue(field, "" if value is None else str(value)[:80], f"a text of 1 to {MAX_NAME_LENGTH} characters")
    if "\0" in name or not is_encodable(name):
        raise BadValue(field, repr(name)[:80], "a text without null characters and halves of surrogate pairs")
    return name


def is_encodable(value: str) -> bool:
    """Whether it can be written as UTF-8: JSON can spell out half a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def text_or_empty(value: Any, limit: int) -> str:
    """What can be kept of a text that nothing depends on; "" for anything else."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode("utf-8", "ignore").decode().strip()[:limit]


def integer_or_none(value: Any, high: int = MAX_INTEGER) -> int | None:
    """A whole number from 0 to `high`, also as text, or None."""
    if isinstance(value, str) and len(value) <= 20:
        value = int(value) if value.strip().isdecimal() else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= high else None


def isrc_or_empty(value: Any) -> str:
    """Twelve letters and digits in capitals, or "": it only helps to find the track."""
    code = value.strip().replace("-", "").upper() if isinstance(value, str) else ""
    return code if len(code) == 12 and code.isascii() and code.isalnum() else ""


def uuid_or_empty(value: Any) -> str:
    """A UUID in its usual form, or ""."""
    try:
        return str(UUID(value)) if isinstance(value, str) else ""
    except ValueError:
        return ""
