"""Values from JSON, checked so that they fit the database.

Only names are required. Other values are left out if they cannot be read.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from importers.cell_parsers import MAX_INTEGER, MAX_NAME_LENGTH
from importers.errors import BadValue

MAX_MS = 86_400_000  # a day


def require_text(field: str, value: Any) -> str:
    """Return a text of 1 to 512 characters, without white space around it. Raises BadValue for anything else."""
    if not isinstance(value, str) or not (text := value.strip()) or len(text) > MAX_NAME_LENGTH:
        text_of_value = "" if value is None else str(value)[:80]
        raise BadValue(field, text_of_value, f"a text of 1 to {MAX_NAME_LENGTH} characters")
    # JSON can spell out half of a surrogate pair, which UTF-8 cannot.
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise BadValue(field, repr(text)[:80], "a text without null characters and halves of surrogate pairs")
    return text


def text_or_empty(value: Any, limit: int) -> str:
    """Return the part of a text that can be stored; "" for anything else."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode("utf-8", "ignore").decode().strip()[:limit]


def integer_or_none(value: Any, high: int = MAX_INTEGER) -> int | None:
    """Return a whole number from 0 to `high`, which may be written as text or as a float."""
    if isinstance(value, str) and len(value) <= 20:
        value = int(value) if value.strip().isdecimal() else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= high else None


def isrc_or_empty(value: Any) -> str:
    """Return an ISRC as twelve capital letters and digits."""
    code = value.strip().replace("-", "").upper() if isinstance(value, str) else ""
    return code if len(code) == 12 and code.isascii() and code.isalnum() else ""


def uuid_or_empty(value: Any) -> str:
    """Return a UUID in its usual form."""
    try:
        return str(UUID(value)) if isinstance(value, str) else ""
    except ValueError:
        return ""
