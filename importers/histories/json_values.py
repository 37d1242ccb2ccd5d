"""Values from JSON, checked so that they fit the database.

Only names are required. Other values are left out if they cannot be read.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from importers.cell_parsers import BOOLEANS, EARLIEST_TIME, FIRST_MILLISECONDS, MAX_INTEGER, MAX_NAME_LENGTH
from importers.errors import BadValue
from importers.html_entities import unescape_html

MAX_MS = 86_400_000  # a day
_MAX_MILLISECONDS = 10**14  # of a time; the year 5138


def require_text(field: str, value: Any) -> str:
    """Return a text of 1 to 512 characters, without white space around it, and with HTML entities as characters.

    Raises:
        BadValue: the value is anything else.
    """
    if not isinstance(value, str) or not (text := unescape_html(value).strip()) or len(text) > MAX_NAME_LENGTH:
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
    return unescape_html(value).replace("\0", "").encode("utf-8", "ignore").decode().strip()[:limit]


def integer_or_none(value: Any, high: int = MAX_INTEGER) -> int | None:
    """Return a whole number from 0 to `high`, which may be written as text or as a float."""
    if isinstance(value, str) and len(value) <= 20:
        whole, _, fraction = value.strip().partition(".")
        value = int(whole) if whole.isdecimal() and not fraction.strip("0") else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= high else None


def unix_seconds_or_none(value: Any) -> int | None:
    """Return a time in UNIX seconds, from UNIX seconds or milliseconds, which may have a fraction."""
    if isinstance(value, float) and 0 <= value <= _MAX_MILLISECONDS:
        value = int(value)
    time = integer_or_none(value, _MAX_MILLISECONDS)
    return time // 1000 if time is not None and time >= FIRST_MILLISECONDS else time


def require_unix_time(field: str, value: Any, latest: int) -> int:
    """Return UNIX seconds from the year 2000 to `latest`, from seconds or milliseconds. Raises BadValue."""
    time = unix_seconds_or_none(value)
    if time is None or not EARLIEST_TIME <= time <= latest:
        text = "" if value is None else str(value)[:80]
        raise BadValue(field, text, "a UNIX time from the year 2000 to today (players without a clock write 0)")
    return time


def boolean_or_none(value: Any) -> bool | None:
    """Return a truth value, which may be written as a number or as text; None for anything else."""
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    return BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else None


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
